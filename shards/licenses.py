"""Describes the licence of a dataset in its card, from the licence that the views' source states."""

from pathlib import Path
from typing import Any

LICENSE_NAME = "LICENSE"
"""File beside the shards with the full licence of their source."""

_CC_BY_NC_4 = "Attribution-NonCommercial 4.0 International"


def license_beside(folder: Path) -> str:
    """Reads the licence in a folder; empty if there is none."""
    path = folder / LICENSE_NAME
    return path.read_text("utf-8", "replace") if path.is_file() else ""


def license_header(text: str) -> dict[str, Any]:
    """Returns the fields of a dataset card's header that state the licence; none if the source's ``text`` is empty."""
    if not text.strip():
        return {}
    if _CC_BY_NC_4 in text:
        return {"license": "cc-by-nc-4.0"}
    return {"license": "other", "license_name": "see-license-file", "license_link": LICENSE_NAME}


def license_words(text: str, rendered: bool) -> str:
    """Returns the card's paragraph on the licence ``text`` of views that iebench ``rendered`` or packed."""
    models = (
        "Renders of ShapeNet's models fall under ShapeNet's terms of use (https://shapenet.org/terms: research and "
        "education, no commercial use); those of other models under the terms of these."
    )
    if text.strip():
        stated = "CC BY-NC 4.0" if _CC_BY_NC_4 in text else "of its own"
        return f"The source of these views states a licence {stated}: `{LICENSE_NAME}` has it. {models}"
    made = "They were rendered here, under no licence yet" if rendered else "Their source states none"
    return f"{made}: add a line `license:` to the header before you publish. {models}"
