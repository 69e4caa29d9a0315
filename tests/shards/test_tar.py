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
        expected = [
            Member(member.name, tar.extractfile(member).read(), member.offset_data, member.size)
            for member in tar.getmembers()
        ]
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


def crafted(name="a-b-000.jpg", size=b"00000000000", kind=b"0", body=b""):
    """A header with a right checksum whatever stands in it, and what follows it."""
    header = bytearray(BLOCK)
    header[: len(name)] = name.encode()
    header[124 : 124 + len(size)] = size
    header[156:157] = kind
    header[257:265] = b"ustar\x0000"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + body + bytes(-len(body) % BLOCK)


END = bytes(2 * BLOCK)
SIZES = [
    b"00000000008",
    b"00000000009",
    b"-0000000001",
    b"+0000000001",
    b"           ",
    b"0000000 010",
    b"0x000000010",
    b"\xff" * 11,
    b"\x80" + bytes(10),
    bytes(11),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [b"0", b"x", b"L"])
def test_a_size_that_is_no_octal_number_is_damage_though_the_checksum_is_right(size, kind):
    whole = crafted("a-b-001.jpg", b"00000000003", body=b"abc")
    found = walked(crafted(size=size, kind=kind) + whole + END)
    assert found == [
        Damage("a tar header is damaged", "a-b-000.jpg"),
        Member("a-b-001.jpg", b"abc", 2 * BLOCK, 3),
    ]


@pytest.mark.parametrize("kind", [b"0", b"x", b"L", b"5", b"2"])
def test_a_size_beyond_the_end_is_told_and_no_memory_is_asked_for(kind):
    found = walked(crafted(size=b"77777777777", kind=kind, body=b"abc") + END)
    assert found == [Damage("the archive is cut short", "a-b-000.jpg")]


@pytest.mark.parametrize(
    "records",
    [
        b"",
        b"0 path=x\n",
        b"00 path=x\n",
        b"99 path=x\n",
        b"-9 path=x\n",
        b"9" * 5000 + b" path=x\n",
        b" ",
        b"11 path=ab",
    ],
)
def test_pax_records_of_a_wrong_length_are_damage_with_a_name(records):
    header = crafted(size=b"%011o" % len(records), kind=b"x", body=records)
    found = walked(header + crafted("a-b-001.jpg", b"00000000003", body=b"abc") + END)
    assert found[-1][:2] == ("a-b-001.jpg", b"abc")
    damages = [item for item in found if isinstance(item, Damage)]
    assert [damage.name for damage in damages] == ([] if not records else ["a-b-001.jpg"])


def test_any_byte_of_a_header_may_be_anything_though_its_checksum_is_right(shard):
    with tarfile.open(fileobj=io.BytesIO(shard)) as tar:
        headers = [member.offset for member in tar.getmembers()]
    draw = random.Random(1)
    for _ in range(2000):
        data = bytearray(shard)
        start = draw.choice(headers)
        for _ in range(draw.randrange(1, 4)):
            data[start + draw.randrange(100, 265)] = draw.choice(b"\x00 -+.089\xff\x80xLg12")
        data[start + 148 : start + 156] = b" " * 8
        data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + BLOCK])
        assert all(isinstance(item, Damage | Member) for item in walked(bytes(data)))
