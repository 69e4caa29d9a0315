"""The walk over tar members: what other writers write, and damage told rather than passed over."""

import io
import random
import tarfile

import pytest

from shards.tar import BLOCK, Damage, Member, read_members
from shards.writer import write_samples
from toys import toy_samples


def walked(data, **settings):
    return list(read_members(io.BytesIO(data), **settings))


def archive(names, format=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for number, name in enumerate(names):
            data = random.Random(number).randbytes(number * 300)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def shard():
    buffer = io.BytesIO()
    write_samples(buffer, toy_samples("03797390", "mug1"))
    return buffer.getvalue()


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_names_and_bytes_are_those_that_tarfile_reads(format):
    longest = "d" * 90 + "/" + "n" * 95 if format == tarfile.USTAR_FORMAT else "n" * 250 + ".jpg"
    data = archive(["a.jpg", longest, "b.json", "ünïcode.jpg", "d/e.jpg"], format)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        expected = [Member(member.name, tar.extractfile(member).read()) for member in tar.getmembers()]
    assert walked(data) == expected


def test_what_is_not_wanted_is_passed_by(shard):
    found = walked(shard, wanted=lambda number, name: number >= 4 and name.endswith(".json"))
    whole = walked(shard)
    assert [member.name for member in found] == [member.name for member in whole]
    assert [bool(member.data) for member in found] == [False] * 5 + [True, False, True]
    assert all(member.data in (b"", other.data) for member, other in zip(found, whole, strict=True))


def test_a_flipped_bit_in_a_header_or_a_filling_is_told_and_the_rest_still_read(shard):
    whole = walked(shard)
    with tarfile.open(fileobj=io.BytesIO(shard)) as tar:
        payload = {
            byte
            for member in tar.getmembers()
            for byte in range(member.offset_data, member.offset_data + member.size)
        }
    places = [place for place in range(len(shard)) if place not in payload]
    for place in random.Random(0).sample(places, 400):
        data = bytearray(shard)
        data[place] ^= 1 << random.Random(place).randrange(8)
        found = walked(bytes(data))
        assert any(isinstance(item, Damage) for item in found), place
        assert sum(isinstance(item, Member) for item in found) >= len(whole) - 1


def test_an_archive_that_is_cut_short_anywhere_is_told(shard):
    for length in [0, 1, *range(BLOCK - 1, len(shard), 1021)]:
        if len(shard[:length].rstrip(b"\0")) == len(shard.rstrip(b"\0")):
            continue  # only the zeros behind the end are fewer
        assert any(isinstance(item, Damage) for item in walked(shard[:length])), length


def test_at_least_two_blocks_of_zeros_end_an_archive(shard):
    end = len(shard.rstrip(b"\0"))
    end += -end % BLOCK
    assert not any(isinstance(item, Damage) for item in walked(shard[: end + 2 * BLOCK]))
    for blocks in (0, 1):
        *_, last = walked(shard[: end + blocks * BLOCK])
        assert isinstance(last, Damage) and last.after == "03797390-mug1-003.json"


def test_a_link_is_told_and_not_followed(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        link = tarfile.TarInfo("a-b-000.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert walked(buffer.getvalue()) == [Damage("it is no regular file", "a-b-000.jpg")]


@pytest.mark.timeout(60)
def test_garbage_ends():
    for seed in range(50):
        data = random.Random(seed).randbytes(20 * BLOCK + seed)
        assert any(isinstance(item, Damage) for item in walked(data))


def test_a_flipped_bit_in_the_header_of_a_long_name_is_told_or_changes_a_name(format=tarfile.PAX_FORMAT):
    data = archive(["n" * 250 + ".jpg", "b.json"], format)
    whole = walked(data)
    for place in range(8 * BLOCK, 16 * BLOCK):  # the records and what fills their block
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        found = walked(bytes(changed))
        assert found != whole, place
        assert found[-1] == whole[-1], place
