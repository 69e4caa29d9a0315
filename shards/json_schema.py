"""The JSON schema of ``dataset.json``, for programs that are not iebench.

It follows from the data contract. After a change of that, write it anew::

    python -m shards.json_schema > shards/dataset.schema.json
"""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from shards.schema import DatasetIndex

SCHEMA_PATH = Path(__file__).parent / "dataset.schema.json"
"""The schema as it is kept and shipped."""


class _WithoutTitles(GenerateJsonSchema):
    """Leaves out the titles that would repeat the fields' names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def index_schema() -> dict[str, Any]:
    """The schema of ``dataset.json`` as the contract gives it, of JSON Schema's version 2020-12."""
    schema = DatasetIndex.model_json_schema(mode="validation", schema_generator=_WithoutTitles)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "dataset.json of a dataset of iebench",
        "required": ["format_version", *schema["required"]],
    }


def schema_text() -> str:
    """The text of ``dataset.schema.json``."""
    return json.dumps(index_schema(), indent=1) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
