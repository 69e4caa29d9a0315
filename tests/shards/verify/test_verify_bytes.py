"""Bytes that are not those that were written are found, and the sample they belong to."""

import io
import json
import os
import random
import tarfile
from pathlib import Path

import pytest

from faults import MUG, SHARD, problems, reseal_with_passes, samples_with
from shards.errors import IebenchError
from shards.reader import read_samples
from shards.schema import INDEX_NAME, SampleMetadata, parse_index
from shards.verify import Problem, verify_dataset
from toys import make_toy_dataset, reseal, rewrite_index, toy_samples, with_passes

ALTERED = "its SHA-256 is not the one in dataset.json: its bytes were altered"
UNCHECKED = "its bytes were altered: they do not give the CRC-32 in its .json"


def found_in(folder: Path) -> list[Problem]:
    return list(verify_dataset(folder, parse_index(folder / INDEX_NAME)))


def owners(shard: Path) -> list[tuple[int, str]]:
    """The places at which the members of a shard end, headers and fillings included, and their samples."""
    with tarfile.open(shard) as tar:
        members = tar.getmembers()
        ends = [*(member.offset for member in members[1:]), tar.offset]
        return [(end, member.name.partition(".")[0]) for end, member in zip(ends, members, strict=True)]


def alone(folder: Path) -> Path:
    """A dataset of the one shard of another that is damaged, which is the same file in both."""
    only = folder.with_name("alone")
    only.mkdir()
    os.link(folder / SHARD, only / SHARD)
    content = json.loads((folder / INDEX_NAME).read_text())
    (shard,) = (item for item in content["splits"]["train"]["shards"] if item["name"] == SHARD)
    content["splits"] = {
        "train": {"shards": [shard], "objects": shard["objects"], "views": shard["views"]},
        "val": {"shards": [], "objects": 0, "views": 0},
    }
    rewrite_index(only, content)
    return only


def flip(data: bytes, place: int) -> bytes:
    """Other bytes in one bit, counted from the first byte's lowest."""
    changed = bytearray(data)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["views", "views with passes", "objects with long names"])
def test_a_flipped_bit_anywhere_is_found_in_its_shard_and_its_sample(toy_copy, kind):
    if kind == "views with passes":
        reseal_with_passes(toy_copy, list(with_passes(samples_with(0))))
    elif kind == "objects with long names":
        reseal(toy_copy, SHARD, list(toy_samples("03797390", "mug" * 40)), objects=1)
    shard, only = toy_copy / SHARD, alone(toy_copy)
    data, ends = shard.read_bytes(), owners(shard)
    last = ends[-1][0]
    generator = random.Random(kind)
    places = [generator.randrange(8 * last) for _ in range(200)]
    places += [generator.randrange(8 * last, 8 * len(data)) for _ in range(10)]
    for number, place in enumerate(places):
        shard.write_bytes(flip(data, place))
        found = found_in(only if number % 10 else toy_copy)  # the sound shards need not be read each time
        assert {problem.shard for problem in found} == {SHARD}
        assert found[0].message == ALTERED
        named = {problem.sample for problem in found if problem.sample}
        if place >= 8 * last:
            assert not named and len(found) > 1, place  # what is wrong there is told too
        else:
            sample = next(sample for end, sample in ends if place < 8 * end)
            assert sample in named, place
            assert len(named) == 1 or "long names" in kind, (
                place
            )  # a name may have been another's for a while
    shard.write_bytes(data)
    assert found_in(toy_copy) == []


@pytest.mark.parametrize("member", range(4))
def test_a_damaged_header_is_told_with_the_sample_whose_member_it_is(toy_copy, member):
    shard = toy_copy / SHARD
    with tarfile.open(shard) as tar:
        offset = tar.getmembers()[4 + member].offset
        sample = tar.getmembers()[4 + member].name.partition(".")[0]
    data = bytearray(shard.read_bytes())
    data[offset + 124 : offset + 135] = b"00000000009"
    data[offset + 148 : offset + 156] = b" " * 8
    data[offset + 148 : offset + 156] = b"%06o\0 " % sum(data[offset : offset + 512])
    shard.write_bytes(data)
    assert Problem(SHARD, sample, "a tar header is damaged") in found_in(toy_copy)
    with pytest.raises(IebenchError, match="a tar header is damaged"):
        list(read_samples(shard))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.9])
def test_truncation_is_found(toy_copy, share):
    shard = toy_copy / SHARD
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[: int(size * share)])
    found = problems(toy_copy)
    assert found[0] == f"{SHARD}: it has {int(size * share):,} bytes and should have {size:,}"
    assert "the archive is cut short" in found[1]
    assert found[-1].startswith(f"{SHARD}: it holds ")  # how many are missing is told too


def test_a_truncated_shard_is_told_with_the_sample_that_it_ends_in(toy_copy):
    shard = toy_copy / SHARD
    end, sample = owners(shard)[16]
    shard.write_bytes(shard.read_bytes()[: end - 600])
    assert any(
        f"{SHARD}, sample {sample}: member {sample}.jpg: the archive is cut" in problem
        for problem in problems(toy_copy)
    )


def test_members_added_behind_the_last_are_found(toy_copy):
    with tarfile.open(toy_copy / SHARD, "a") as tar:
        for sample in toy_samples("03797390", "mug91", views=1):
            member = tarfile.TarInfo("03797390-mug99-000.jpg")
            member.size = len(sample["jpg"])
            tar.addfile(member, io.BytesIO(sample["jpg"]))
    found = problems(toy_copy)
    assert f"{SHARD}, sample 03797390-mug99-000: member .json is missing" in found
    assert found[-1].startswith(f"{SHARD}: it holds 21 views")


def test_a_link_among_the_members_is_found_and_not_followed(toy_copy):
    with tarfile.open(toy_copy / SHARD, "a") as tar:
        link = tarfile.TarInfo("03797390-mug99-000.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    said = "member 03797390-mug99-000.jpg: it is no regular file"
    assert f"{SHARD}, sample 03797390-mug99-000: {said}" in problems(toy_copy)


@pytest.mark.parametrize("member", ["jpg", "json", "depth.png"])
def test_an_altered_sample_is_found_although_the_shard_was_sealed_anew(toy_copy, member):
    samples, others = list(with_passes(samples_with(0))), list(with_passes(toy_samples("03797390", "mug92")))
    if member == "json":  # other latents, as much in their range as those that were there
        samples[2]["json"] = samples[2]["json"].replace(
            *(
                json.dumps(json.loads(sample["json"])["latents"]).encode()
                for sample in (samples[2], others[2])
            )
        )
    else:
        samples[2][member] = others[1][member] if member == "jpg" else samples[2]["mask.png"]
    reseal_with_passes(toy_copy, samples)
    found = problems(toy_copy)
    assert found[0] == f"{SHARD}, sample {MUG}-002: {UNCHECKED}"
    assert all(problem.startswith(f"{SHARD}, sample {MUG}-002: ") for problem in found)


def test_a_dataset_from_before_there_were_checksums_is_whole(toy_copy):
    for path in sorted(toy_copy.glob("*.tar")):
        samples = list(read_samples(path))
        for sample in samples:
            sample["json"] = SampleMetadata.model_validate_json(sample["json"]).encode()
            assert b"crc32" not in sample["json"]
        reseal(toy_copy, path.name, samples)
    assert problems(toy_copy) == []


def test_what_a_terminal_would_obey_is_not_printed(toy_copy):
    reseal(toy_copy, SHARD, [*samples_with(0), {"__key__": "\x1b[2J", "json": b"{}"}], objects=1)
    found = problems(toy_copy)
    assert any(r"sample \x1b[2J: its key is not that of a view" in problem for problem in found)
    assert all(problem.isprintable() for problem in found)


def test_a_whole_dataset_has_none_of_these(tmp_path):
    make_toy_dataset(tmp_path / "views")
    assert problems(tmp_path / "views") == []
