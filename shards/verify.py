"""Checks a dataset against its index and the data contract, down to each sample."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shards.errors import IebenchError
from shards.files import sha256_of
from shards.passes import member_of, stored_values
from shards.reader import View, parse_view, read_samples
from shards.schema import INDEX_NAME, DatasetIndex, ShardInfo, parse_index


@dataclass(frozen=True)
class Problem:
    """Something that breaks the contract: in which shard, at which sample (empty: the shard itself)."""

    shard: str
    sample: str
    message: str

    def __str__(self) -> str:
        place = f"{self.shard}, sample {self.sample}" if self.sample else self.shard
        return f"{place}: {self.message}"


def verify_dataset(
    folder: Path, index: DatasetIndex, advance: Callable[[int], None] = lambda views: None
) -> Iterator[Problem]:
    """Finds everything about a dataset that is not as its index and the contract say.

    Shards are streamed: memory does not grow with the dataset.

    Args:
        folder: the dataset's folder.
        index: its index, as ``parse_index`` reads it.
        advance: told the number of views of each shard that is done.
    """
    known = {shard.name for split in index.splits.values() for shard in split.shards}
    for path in sorted(folder.glob("*.tar")):
        if path.name not in known:
            yield Problem(path.name, "", f"{INDEX_NAME} does not know it")
    for name, split in index.splits.items():
        for total in ("objects", "views"):
            if sum(getattr(shard, total) for shard in split.shards) != getattr(split, total):
                yield Problem(INDEX_NAME, "", f"the {total} of the {name} shards do not add up to its total")
        for shard in split.shards:
            yield from _verify_shard(folder / shard.name, shard, index)
            advance(shard.views)


def load_for_verification(folder: Path) -> DatasetIndex:
    """The index of a dataset whose shards may be missing or broken.

    Raises:
        IebenchError: there is no index that can be read.
    """
    return parse_index(folder / INDEX_NAME)


def _verify_shard(path: Path, shard: ShardInfo, index: DatasetIndex) -> Iterator[Problem]:
    if not path.is_file():
        yield Problem(shard.name, "", "it is missing")
        return
    size = path.stat().st_size
    if size != shard.bytes:
        yield Problem(shard.name, "", f"it has {size:,} bytes and should have {shard.bytes:,}")
    elif sha256_of(path) != shard.sha256:
        yield Problem(shard.name, "", f"its SHA-256 is not the one in {INDEX_NAME}: its bytes were altered")
    yield from _verify_samples(path, shard, index)


def _verify_samples(path: Path, shard: ShardInfo, index: DatasetIndex) -> Iterator[Problem]:
    views = objects = 0
    previous: View | None = None
    seen: set[tuple[str, str]] = set()
    try:
        for sample in read_samples(path):
            views += 1
            try:
                view = parse_view(sample, path)
            except IebenchError as error:
                yield Problem(shard.name, sample["__key__"], _without_place(error))
                continue
            owner = _owner(view)
            if previous is None or owner != _owner(previous):
                yield from _incomplete(previous, shard, index)
                if owner in seen:
                    yield Problem(shard.name, sample["__key__"], "its object's views do not stand together")
                seen.add(owner)
                objects += 1
            messages = [
                *_complaints(sample["__key__"], view, previous, index),
                *_pass_complaints(view, index),
            ]
            messages += _member_complaints(sample, index)
            yield from (Problem(shard.name, sample["__key__"], message) for message in messages)
            previous = view
    except IebenchError as error:
        yield Problem(shard.name, "", _without_place(error))
        return
    yield from _incomplete(previous, shard, index)
    if (views, objects) != (shard.views, shard.objects):
        yield Problem(
            shard.name,
            "",
            f"it holds {views:,} views of {objects:,} objects and should hold {shard.views:,} of {shard.objects:,}",
        )


def _owner(view: View) -> tuple[str, str]:
    return view.metadata.synset, view.metadata.object


def _incomplete(last: View | None, shard: ShardInfo, index: DatasetIndex) -> Iterator[Problem]:
    """Complains where the last view of an object is not the last that it should have."""
    if last is not None and last.metadata.view < index.views_per_object - 1:
        yield Problem(
            shard.name,
            last.metadata.key,
            f"its object ends here and should have {index.views_per_object} views",
        )


def _complaints(key: str, view: View, previous: View | None, index: DatasetIndex) -> Iterator[str]:
    metadata = view.metadata
    if key != metadata.key:
        yield f"its metadata says that it is {metadata.key}"
    expected = previous.metadata.view + 1 if previous is not None and _owner(previous) == _owner(view) else 0
    if metadata.view != expected:
        yield f"view {metadata.view} stands where view {expected} should"
    if metadata.view >= index.views_per_object:
        yield f"an object has views 0 to {index.views_per_object - 1}"
    classes = {item.synset: item.label for item in index.classes}
    if classes.get(metadata.synset) != metadata.label:
        yield f"label {metadata.label} is not that of synset {metadata.synset}"
    yield from _latent_complaints(metadata.latents, index)
    try:
        pixels = view.pixels()
    except IebenchError:
        yield "its JPEG does not decode"
        return
    if pixels.shape[:2] != (index.image_size, index.image_size):
        yield f"it is {pixels.shape[1]} x {pixels.shape[0]} px and should be {index.image_size} px square"


def _pass_complaints(view: View, index: DatasetIndex) -> Iterator[str]:
    if view.metadata.depth_scale is None and "depth" in index.passes:
        yield "its metadata has no depth_scale, which the depth pass needs"
    if view.metadata.depth_scale is not None and "depth" not in index.passes:
        yield "its metadata has a depth_scale and there is no depth pass"
    for name in index.passes:
        if name not in view.passes:
            yield f"member .{member_of(name)} is missing"
            continue
        try:
            height, width = stored_values(name, view.passes[name], view.metadata.key).shape[:2]
        except IebenchError as error:
            yield _without_place(error)
            continue
        if (height, width) != (index.image_size, index.image_size):
            yield f"its .{member_of(name)} is {width} x {height} px and should be {index.image_size} px square"


def _member_complaints(sample: dict[str, Any], index: DatasetIndex) -> Iterator[str]:
    expected = {"__key__", "jpg", "json", *map(member_of, index.passes)}
    for extension in sorted(sample.keys() - expected):
        yield f"member .{extension} should not be there: {INDEX_NAME} does not know it"


def _latent_complaints(values: tuple[float, ...], index: DatasetIndex) -> Iterator[str]:
    if len(values) != len(index.latents):
        yield f"it has {len(values)} latents and should have {len(index.latents)}"
        return
    for latent, value in zip(index.latents, values, strict=True):
        if not latent.contains(value):
            yield f"{latent.name} is {value:.6g}, out of its range"


def _without_place(error: IebenchError) -> str:
    """The error's own words: the problem names the shard and the sample itself."""
    return str(error).split(": ", 1)[-1].split("; run `iebench verify`")[0]
