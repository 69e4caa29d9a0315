"""Encodes samples and finds them in shards. A sample holds a view's members by extension, and a checksum of them."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shards.schema import SampleMetadata
from shards.tar import Damage, Member, read_members

Sample = dict[str, Any]
"""The sample's ``__key__`` (text), and its members' bytes by extension, such as ``jpg`` and ``json``."""

_FIELD = b', "crc32": '
_BUFFER = 1 << 18  # bytes read from a shard at once


def encode_sample(metadata: SampleMetadata, members: Mapping[str, bytes]) -> Sample:
    """Makes a sample from its other members, whose ``.json`` member ends with a CRC-32 of the whole sample."""
    text = metadata.encode()[:-1]
    return {"__key__": metadata.key, **members, "json": text + _FIELD + b"%d}" % _crc32(members, text)}


def walk_samples(
    path: Path, wanted: Callable[[int, str], bool] = lambda number, name: True
) -> Iterator[Sample | Damage]:
    """Yields the samples of one shard in order, and a ``Damage`` for each damaged place; see ``read_members``.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb", buffering=_BUFFER) as stream:
        yield from group_samples(read_members(stream, wanted))


def group_samples(members: Iterable[Member | Damage]) -> Iterator[Sample | Damage]:
    """Groups the members of a shard into samples, and passes on each ``Damage``.

    A member's name is its sample's key up to the first dot, and its extension after it. The members of a sample follow
    each other in the shard.
    """
    sample: Sample = {}
    for member in members:
        if isinstance(member, Damage):
            yield member
            continue
        key = key_of(member.name)
        extension = member.name[len(key) + 1 :]
        if not extension:
            yield Damage("it has no extension, so it belongs to no sample", member.name)
            continue
        if sample.get("__key__") != key:
            if sample:
                yield sample
            sample = {"__key__": key}
        if extension in sample:
            yield Damage("it is there twice", member.name)
        sample[extension] = member.data
    if sample:
        yield sample


def key_of(name: str) -> str:
    """Returns the key of the sample to which the member called ``name`` belongs."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def is_unchanged(sample: Mapping[str, Any]) -> bool | None:
    """Returns whether a sample has the checksum that ``encode_sample`` stored; None if it has no checksum.

    The checksum is the last field of the ``.json`` member. It is the CRC-32 of the other members in the alphabetical
    order of their extensions, followed by the text of the ``.json`` up to the comma before the checksum.
    """
    members = {name: data for name, data in sample.items() if isinstance(data, bytes) and name != "json"}
    text, field, stored = sample["json"].rpartition(_FIELD)
    if not field:
        return None
    return stored == b"%d}" % _crc32(members, text)


def _crc32(members: Mapping[str, bytes], text: bytes) -> int:
    total = 0
    for name in sorted(members):
        total = zlib.crc32(members[name], total)
    return zlib.crc32(text, total)
