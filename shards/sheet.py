"""Draws contact sheets, which are images with some views of a dataset and their latents."""

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from shards.errors import IebenchError, UsageError
from shards.reader import View, read_shard
from shards.schema import DatasetIndex, ShardInfo
from shards.variants import Latent

T = TypeVar("T")

_MARGIN = 6
_SHOWN = {"rotation_x", "rotation_y", "rotation_z", "floor_hue", "light_theta", "light_phi", "light_hue"}
_INK, _QUIET, _PAPER = "#1c1d21", "#6b6f76", "#ffffff"


def pick_views(
    folder: Path, index: DatasetIndex, rows: int, columns: int, split: str | None = None
) -> list[tuple[str, list[View]]]:
    """Picks views for a contact sheet of at most ``rows`` and ``columns``, from one split or from all.

    Each row shows one object, and each row is of another class. If objects have only one view, a row shows several
    objects of its class. If the dataset has a table, only the views that are shown are read. Otherwise shards are read
    until ``rows`` classes were found, or all if there are fewer.

    Returns:
        Name of the class and views of each row, in the order of the labels.

    Raises:
        UsageError: The dataset has no view.
    """
    wanted = min(rows, len(index.classes))
    shards = [shard for name in ([split] if split else index.splits) for shard in index.splits[name].shards]
    names = {item.label: item.name for item in index.classes}
    if index.latents_table is not None:
        return [
            (names.get(label, ""), views)
            for label, views in _views_by_table(folder, index, shards, wanted, columns)
        ]
    found: dict[int, list[View]] = {}
    for shard in shards:
        views = read_shard(folder, shard, index.channel_order, passes=())
        for label, group in groupby(views, key=lambda view: view.metadata.label):
            if label not in found:
                members = list(group)
                first = members[0].metadata.object
                alone = index.views_per_object == 1
                found[label] = [view for view in members if alone or view.metadata.object == first][:columns]
        if len(found) >= wanted:
            break
    if not found:
        raise UsageError("the dataset holds no view")
    return [(names[label], found[label]) for label in _evenly(sorted(found), wanted)]


def _views_by_table(
    folder: Path, index: DatasetIndex, shards: Sequence[ShardInfo], wanted: int, columns: int
) -> list[tuple[int, list[View]]]:
    """Reads views of the first object of each of ``wanted`` labels, which are chosen evenly among all labels."""
    import pyarrow.compute

    from shards.table import all_byte_range_columns, byte_ranges_of, open_table
    from shards.view_bytes import read_views_at

    table = open_table(folder, index)
    labels, firsts = np.unique(table.read(shards, ["label"])["label"].to_numpy(), return_index=True)
    if not len(labels):
        raise UsageError("the dataset holds no view")
    ends = np.cumsum([shard.views for shard in shards])
    found = []
    for label, first in _evenly(list(zip(labels.tolist(), firsts.tolist(), strict=True)), wanted):
        number = int(np.searchsorted(ends, first, side="right"))
        rows = table.rows_of(
            shards[number], ["label", "synset", "object", "view", *all_byte_range_columns(index)]
        )
        start = first - (int(ends[number]) - shards[number].views)
        views = index.views_per_object
        own = rows.slice(start, columns if views == 1 else min(columns, views))
        if views == 1:  # the next rows are other objects; keep those of the same class
            own = own.filter(pyarrow.compute.equal(own["label"], label))
        names = list(zip(*(own[name].to_pylist() for name in ("synset", "object", "view")), strict=True))
        found.append((label, read_views_at(folder, index, shards[number], byte_ranges_of(own, index), names)))
    return found


def _evenly(items: Sequence[T], wanted: int) -> list[T]:
    """Returns at most ``wanted`` items, chosen evenly among all."""
    count = min(wanted, len(items))
    return [items[position * len(items) // count] for position in range(count)]


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[View]]], latents: Sequence[Latent], size: int = 128
) -> Image.Image:
    """Draws the titles and views of rows from ``pick_views``; each view is ``size`` pixels wide.

    Below it are its rotation in degrees and patches with the floor's and light's color. Datasets without latents, such
    as pictures, get no captions.

    Raises:
        UsageError: The dataset has latents but lacks one that the captions show.
        IebenchError: A view has a wrong number of latents.
    """
    _require_latents(rows, latents)
    lines = 3 if latents else 0  # of the caption
    columns = max(len(views) for _, views in rows)
    line = max(10, size // 9)
    font, caption_font = ImageFont.load_default(line + 2), ImageFont.load_default(max(9, line - 2))
    row_height = size + lines * line + 2 * _MARGIN
    left = max(math.ceil(font.getlength(title)) for title, _ in rows) + 2 * _MARGIN
    sheet = Image.new(
        "RGB", (left + columns * (size + _MARGIN) + _MARGIN, len(rows) * row_height + _MARGIN), _PAPER
    )
    draw = ImageDraw.Draw(sheet)
    for row, (title, views) in enumerate(rows):
        top = _MARGIN + row * row_height
        draw.text((_MARGIN, top + size // 2), title, _INK, font=font, anchor="lm")
        for column, view in enumerate(views):
            corner = (left + column * (size + _MARGIN), top)
            image = Image.fromarray(view.pixels()).resize((size, size), Image.Resampling.LANCZOS)
            sheet.paste(image, corner)
            if latents:
                caption_corner = (corner[0], top + size + 3)
                _draw_caption(draw, caption_corner, view.metadata.latents, latents, line, caption_font)
    return sheet


def _require_latents(rows: Sequence[tuple[str, Sequence[View]]], latents: Sequence[Latent]) -> None:
    missing = _SHOWN - {latent.name for latent in latents}
    if missing and latents:
        raise UsageError(f"the dataset has no latent {', '.join(sorted(missing))}, which the sheet shows")
    for _, views in rows:
        for view in views:
            if len(view.metadata.latents) != len(latents):
                raise IebenchError(
                    f"{view.metadata.key} has {len(view.metadata.latents)} latents and should have {len(latents)}; "
                    "run `iebench verify` on the dataset"
                )


def _draw_caption(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    values: Sequence[float],
    latents: Sequence[Latent],
    line: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    by_name = {latent.name: value for latent, value in zip(latents, values, strict=True)}
    angles = " ".join(f"{math.degrees(by_name[f'rotation_{axis}']):+z.0f}°" for axis in "xyz")
    light = f"{math.degrees(by_name['light_theta']):.0f}°/{math.degrees(by_name['light_phi']):.0f}°"
    left, top = corner
    draw.text((left, top), angles, _INK, font=font)
    for position, (name, saturation, value) in enumerate((("floor_hue", 60, 60), ("light_hue", 100, 80))):
        start = left + position * (line + 2)
        box = (start, top + line + 3, start + line - 2, top + 2 * line + 1)
        hue = by_name[name] % 1  # explicit latents may lie outside of [0, 1]
        draw.rectangle(box, fill=f"hsv({hue * 360:.0f}, {saturation}%, {value}%)")
    draw.text((left + 2 * (line + 2) + 2, top + line + 1), light, _QUIET, font=font)
