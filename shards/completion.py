"""The end of a dataset's making: what stands beside its shards once they are all there."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from shards.card import PREVIEW_NAME, card_text
from shards.files import atomic_write, write_text
from shards.licenses import LICENSE_NAME
from shards.schema import INDEX_NAME, DatasetIndex, ShardInfo

if TYPE_CHECKING:
    import pyarrow

CARD_NAME = "README.md"
_PREVIEW = 6, 6
"""Rows and columns of the preview."""
_PREVIEW_SIZE = 96


def complete_dataset(
    folder: Path,
    index: DatasetIndex,
    rows: "Callable[[str, ShardInfo], pyarrow.Table]",
    license_text: str = "",
) -> DatasetIndex:
    """Writes the table of all views, a preview, the card and, last, the index, which is there only when all else is.

    Args:
        folder: The dataset's folder, which holds all shards.
        index: The dataset's index; what it says of the table does not count.
        rows: Gives the rows of a shard, by its split.
        license_text: The licence of the views' source, which is carried; empty where it states none.

    Returns:
        The index as it was written.
    """
    from shards.table import write_table

    tables = (rows(name, shard) for name, split in index.splits.items() for shard in split.shards)
    index = index.model_copy(update={"latents_table": write_table(folder, index, tables)})
    _write_preview(folder, index)
    terms, card = folder / LICENSE_NAME, folder / CARD_NAME
    if license_text and not terms.is_file():
        write_text(terms, license_text)
    earlier = card.read_text("utf-8", "replace") if card.is_file() else ""
    stated = terms.read_text("utf-8", "replace") if terms.is_file() else ""
    write_text(card, card_text(index, stated, earlier))
    write_text(folder / INDEX_NAME, index.to_json())
    return index


def _write_preview(folder: Path, index: DatasetIndex) -> None:
    """A picture of views of a few classes."""
    from shards.sheet import contact_sheet, pick_views

    sheet = contact_sheet(pick_views(folder, index, *_PREVIEW), index.latents, _PREVIEW_SIZE)
    with atomic_write(folder / PREVIEW_NAME) as stream:
        sheet.save(stream, "PNG")
