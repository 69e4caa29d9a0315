"""Completes a dataset: writes the files beside its shards when all shards are finished."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from shards.card import PREVIEW_NAME, card_text
from shards.files import atomic_write, write_text
from shards.licenses import LICENSE_NAME, license_beside
from shards.schema import INDEX_NAME, DatasetIndex, ShardInfo

if TYPE_CHECKING:
    import pyarrow

CARD_NAME = "README.md"


def complete_dataset(
    folder: Path,
    index: DatasetIndex,
    rows: "Callable[[str, ShardInfo], pyarrow.Table]",
    license_text: str = "",
) -> DatasetIndex:
    """Writes the table of all views, a preview, the card and, as the last file, the index, which is returned.

    So a folder with an index is complete.

    Args:
        folder: Folder of the dataset, which holds all shards.
        index: Index of the dataset; its entry for the table is replaced.
        rows: Function of a split's name and a shard that returns the rows of the shard.
        license_text: Licence of the views' source, which is written beside the shards; empty if there is none.
    """
    from shards.sheet import contact_sheet, pick_views
    from shards.table import write_table

    tables = (rows(name, shard) for name, shard in index.all_shards())
    index = index.model_copy(update={"latents_table": write_table(folder, index, tables)})
    sheet = contact_sheet(pick_views(folder, index, rows=6, columns=6), index.latents, size=96)
    with atomic_write(folder / PREVIEW_NAME) as stream:
        sheet.save(stream, "PNG")
    terms, card = folder / LICENSE_NAME, folder / CARD_NAME
    if license_text and not terms.is_file():
        write_text(terms, license_text)
    earlier = card.read_text("utf-8", "replace") if card.is_file() else ""
    write_text(card, card_text(index, license_beside(folder), earlier))
    write_text(folder / INDEX_NAME, index.to_json())
    return index
