"""Checks a single sample against the dataset format."""

import struct
from collections.abc import Iterator
from pathlib import Path

from shards.errors import IebenchError
from shards.images import jpeg_size
from shards.passes import Pass, member_of, stored_values
from shards.reader import View, parse_view
from shards.samples import Sample, is_unchanged
from shards.schema import INDEX_NAME, DatasetIndex, SampleMetadata

_PNG = b"\x89PNG\r\n\x1a\n"


def sample_complaints(sample: Sample, index: DatasetIndex) -> Iterator[str]:
    """Yields everything that is wrong with a sample, except for its position; the index's list of shards is not used."""
    expected = ["jpg", "json", *map(member_of, index.passes)]
    missing = [name for name in expected if name not in sample]
    added = sorted(sample.keys() - {"__key__", *expected})
    yield from (f"member .{name} is missing" for name in missing)
    yield from (f"member .{name} should not be there: {INDEX_NAME} does not know it" for name in added)
    if "jpg" in missing or "json" in missing:
        return
    if not (missing or added) and is_unchanged(sample) is False:
        yield "its bytes were altered: they do not give the CRC-32 in its .json"
    try:
        view = parse_view(sample, Path(), index.channel_order, index.passes)
    except IebenchError as error:
        yield _message_alone(error)
    else:
        yield from _metadata_complaints(sample["__key__"], view.metadata, index)
        yield from _jpeg_complaints(view, index.image_size)
        for name, data in view.passes.items():
            yield from _pass_complaints(name, data, index.image_size)


def _metadata_complaints(key: str, metadata: SampleMetadata, index: DatasetIndex) -> Iterator[str]:
    if key != metadata.key:
        yield f"its metadata says that it is {metadata.key}"
    if (metadata.synset, metadata.label) not in {(item.synset, item.label) for item in index.classes}:
        yield f"label {metadata.label} is not that of synset {metadata.synset}"
    if metadata.depth_scale is None and "depth" in index.passes:
        yield "its metadata has no depth_scale, which the depth pass needs"
    if metadata.depth_scale is not None and "depth" not in index.passes:
        yield "its metadata has a depth_scale and there is no depth pass"
    if len(metadata.latents) != len(index.latents):
        yield f"it has {len(metadata.latents)} latents and should have {len(index.latents)}"
        return
    for latent, value in zip(index.latents, metadata.latents, strict=True):
        if not latent.contains(value):
            yield f"{latent.name} is {value:.6g}, out of its range"


def _jpeg_complaints(view: View, size: int) -> Iterator[str]:
    try:
        width, height = jpeg_size(view.jpeg, view.metadata.key)
        fit = view.metadata.fit
        if fit is not None and fit.square != size:
            yield f"it is fitted to {fit.square} px and should be to {size}"
        if fit is None and (height, width) != (size, size):  # do not decode it, as it may be huge
            yield f"it is {width} x {height} px and should be {size} px square"
            return
        view.pixels()
    except IebenchError:
        yield "its JPEG does not decode"


def _pass_complaints(name: Pass, data: bytes, size: int) -> Iterator[str]:
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        if (height, width) != (size, size):
            yield f"its .{member_of(name)} is {width} x {height} px and should be {size} px square"
            return
    try:
        stored_values(name, data, "")
    except IebenchError as error:
        yield _message_alone(error)


def _message_alone(error: IebenchError) -> str:
    """Returns the message of an error without the shard and the sample, which the problem names already."""
    return str(error).split(": ", 1)[-1].split("; run `iebench verify`")[0]
