"""A sample's checksum covers all of it."""

import json
import random

import pytest

from shards.samples import encode_sample, group_samples, is_unchanged
from shards.schema import SampleMetadata
from shards.tar import Damage, Member
from toys import toy_samples, with_passes

METADATA = SampleMetadata(synset="03797390", object="mug0", view=1, label=2, latents=(0.1, 2.0))


def members_of(*names):
    return [Member(name, name.encode(), start=0, size=len(name)) for name in names]


@pytest.mark.parametrize(
    "sample", [*toy_samples("03797390", "mug1"), *with_passes(toy_samples("03797390", "mug1"))]
)
def test_any_flipped_bit_of_a_sample_is_seen(sample):
    assert is_unchanged(sample) is True
    generator = random.Random(0)
    for _ in range(200):
        name = generator.choice([name for name in sample if name != "__key__"])
        data = bytearray(sample[name])
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        assert is_unchanged({**sample, name: bytes(data)}) in (False, None)


def test_a_member_more_or_less_is_seen():
    sample = next(with_passes(toy_samples("03797390", "mug1")))
    assert is_unchanged({name: data for name, data in sample.items() if name != "mask.png"}) is False
    assert is_unchanged({**sample, "txt": b"more"}) is False


def test_the_order_of_members_does_not_matter():
    assert is_unchanged(dict(reversed(encode_sample(METADATA, {"jpg": b"a", "mask.png": b"b"}).items())))


def test_a_sample_without_a_checksum_is_neither_changed_nor_unchanged():
    assert is_unchanged({"__key__": METADATA.key, "jpg": b"a", "json": METADATA.encode()}) is None


def test_the_metadata_is_json_that_everybody_reads():
    sample = encode_sample(METADATA, {"jpg": b"a"})
    content = json.loads(sample["json"])
    assert list(content)[-1] == "crc32" and content["latents"] == [0.1, 2.0]
    read = SampleMetadata.model_validate_json(sample["json"])
    assert read.crc32 == content["crc32"]
    assert encode_sample(read, {"jpg": b"a"}) == sample


def test_members_are_grouped_by_the_name_up_to_the_first_dot():
    names = ("a-b-000.jpg", "a-b-000.mask.png", "a-b-001.jpg", "d/a-b-001.jpg")
    assert list(group_samples(members_of(*names))) == [
        {"__key__": "a-b-000", "jpg": b"a-b-000.jpg", "mask.png": b"a-b-000.mask.png"},
        {"__key__": "a-b-001", "jpg": b"a-b-001.jpg"},
        {"__key__": "d/a-b-001", "jpg": b"d/a-b-001.jpg"},
    ]


@pytest.mark.parametrize("names", [("a.jpg", "a.jpg"), ("a",), ("a.",)])
def test_a_member_that_belongs_to_no_sample_or_is_there_twice_is_told(names):
    assert any(isinstance(item, Damage) for item in group_samples(members_of(*names)))
