"""Writes the JSON Schema of ``dataset.json``, for other programs that read or write datasets.

The schema is made from ``shards.schema``. After a change there, write it again::

    python -m shards.json_schema > shards/dataset.schema.json
"""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from shards.schema import DatasetIndex


class _WithoutTitles(GenerateJsonSchema):
    """A generator of JSON Schema that leaves out titles, which would only repeat the names of the fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema_text() -> str:
    """Returns the text of ``dataset.schema.json``, in JSON Schema 2020-12."""
    schema = DatasetIndex.model_json_schema(mode="validation", schema_generator=_WithoutTitles)
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "dataset.json of a dataset of iebench",
        "required": ["format_version", *schema["required"]],
    }
    return json.dumps(whole, indent=1) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
