"""Samples as they stand in a shard: a view's members by extension, with a checksum that tells of any change."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shards.schema import SampleMetadata
from shards.tar import Damage, Member, read_members

Sample = dict[str, Any]
"""``__key__`` (text) and the members' bytes by extension, such as ``jpg`` and ``json``."""

_FIELD = b', "crc32": '
_BUFFER = 1 << 18  # bytes read from a shard at once


def encode_sample(metadata: SampleMetadata, members: Mapping[str, bytes]) -> Sample:
    """A sample whose ``.json`` ends with a CRC-32 of all of it.

    Args:
        metadata: Metadata of the view.
        members: all others by extension, ``jpg`` first.
    """
    text = metadata.encode()[:-1]
    jpeg, *others = members.items()
    stored = text + _FIELD + b"%d}" % _crc32(members, text)
    return {"__key__": metadata.key, **dict([jpeg]), "json": stored, **dict(others)}


def walk_samples(
    path: Path, wanted: Callable[[int, str], bool] = lambda number, name: True
) -> Iterator[Sample | Damage]:
    """The samples of one shard in order, and whatever is damaged.

    Args:
        path: Path of the shard.
        wanted: Names to read, as ``shards.tar.read_members`` takes them.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=_BUFFER) as stream:
        yield from group_samples(read_members(stream, wanted))


def group_samples(members: Iterable[Member | Damage]) -> Iterator[Sample | Damage]:
    """Samples out of the members of a shard, in order, and whatever is damaged.

    A member's name is the key up to its first dot, and then the extension; the members of a sample stand together.
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
    """The key of the sample that a member called ``name`` belongs to."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def is_unchanged(sample: Mapping[str, Any]) -> bool | None:
    """Whether a sample is, byte for byte, what ``encode_sample`` made; None where it has no checksum.

    The checksum is the last field of the ``.json``. It is the CRC-32 of the other members in the alphabetical
    order of their extensions, followed by the text of the ``.json`` up to the comma before that field.
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
