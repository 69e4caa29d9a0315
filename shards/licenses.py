"""Under which terms views may be passed on, as far as their source says so."""

from typing import Any

LICENSE_NAME = "LICENSE"
"""The file beside the shards with the terms of their source, word for word."""

_CC_BY_NC_4 = "Attribution-NonCommercial 4.0 International"


def license_header(text: str) -> dict[str, Any]:
    """What the header of a dataset card says of a licence.

    Args:
        text: The source's licence; empty where it has none, of which nothing is said.
    """
    if not text.strip():
        return {}
    if _CC_BY_NC_4 in text:
        return {"license": "cc-by-nc-4.0"}
    return {"license": "other", "license_name": "see-license-file", "license_link": LICENSE_NAME}


def license_words(text: str, rendered: bool) -> str:
    """A paragraph for people.

    Args:
        text: As of ``license_header``.
        rendered: Whether the views were rendered here, and not packed.
    """
    models = (
        "Renders of ShapeNet's models fall under ShapeNet's terms of use (https://shapenet.org/terms: research and "
        "education, no commercial use); those of other models under the terms of these."
    )
    if text.strip():
        stated = "CC BY-NC 4.0" if _CC_BY_NC_4 in text else "of its own"
        return f"The source of these views states a licence {stated}: `{LICENSE_NAME}` has it. {models}"
    made = "They were rendered here, under no licence yet" if rendered else "Their source states none"
    return f"{made}: add a line `license:` to the header before you publish. {models}"
