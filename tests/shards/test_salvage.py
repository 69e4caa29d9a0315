"""What of a shard is sound is found object by object, and nothing that is not."""

import pytest

from shards.failures import Failure, Failures
from shards.pixels import PixelSums
from shards.published.published_source import SourceObject
from shards.salvage import SalvageJob, salvage, sound_objects
from shards.samples import encode_sample
from shards.schema import SampleMetadata, open_dataset
from shards.sealed import SealedShard, SealedShards
from shards.shard_plan import ShardPlan
from shards.table import rows_of_shard
from shards.writer import seal_shard
from toys import CLASSES, toy_samples

NAMES = ["mug0", "mug1", "mug2"]
OBJECTS = tuple(SourceObject("03797390", name, sorted(CLASSES).index("03797390"), "train") for name in NAMES)


@pytest.fixture
def index(toy_dataset):
    return open_dataset(toy_dataset).model_copy(update={"splits": {}})


def samples_of(*names):
    return [sample for name in names for sample in toy_samples("03797390", name)]


def written(folder, samples):
    path = folder / "train-000000.tar"
    seal_shard(path, samples, 0)
    return path


def sound(path, index):
    return [item.object_id for item, _, _ in sound_objects(path, OBJECTS, index)]


def test_sound_objects_come_with_their_samples_and_the_sums_of_their_pixels(tmp_path, index):
    path = written(tmp_path, samples_of(*NAMES))
    found = list(sound_objects(path, OBJECTS, index))
    assert [item for item, _, _ in found] == list(OBJECTS)
    assert [sample for _, samples, _ in found for sample in samples] == samples_of(*NAMES)
    assert {sums.pixels for _, _, sums in found} == {4 * 32 * 32}
    whole = salvage(SalvageJob(path, ShardPlan(path.name, "train", OBJECTS), index))
    assert sum(whole.pixels.values(), start=PixelSums()) == sum(
        (sums for _, _, sums in found), start=PixelSums()
    )


def test_each_flipped_byte_costs_at_most_the_object_that_it_is_in(tmp_path, index):
    whole = written(tmp_path, samples_of(*NAMES)).read_bytes()
    path = tmp_path / "flipped.tar"
    for place in range(0, len(whole) - 1024, 1009):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 8]) + whole[place + 1 :])
        found = list(sound_objects(path, OBJECTS, index))
        assert len(found) >= len(NAMES) - 1
        for item, samples, _ in found:
            assert samples == samples_of(item.object_id)


def other_label(sample):
    metadata = SampleMetadata.model_validate_json(sample["json"])
    return encode_sample(metadata.model_copy(update={"label": 1}), {"jpg": sample["jpg"]})


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda views: views[:5] + views[6:], ["mug0", "mug2"]),
        (lambda views: [*views[:4], views[5], views[4], *views[6:]], ["mug0", "mug2"]),
        (lambda views: [*views[:4], other_label(views[4]), *views[5:]], ["mug0", "mug2"]),
        (lambda views: [*views[:4], {**views[4], "jpg": views[5]["jpg"]}, *views[5:]], ["mug0", "mug2"]),
        (lambda views: views[8:] + views[:8], ["mug2"]),
        (lambda views: views[:8] + samples_of("mug5") + views[8:], NAMES),
    ],
    ids=["view missing", "views swapped", "other label", "other picture", "other order", "stranger"],
)
def test_an_object_with_any_view_amiss_is_not_sound(tmp_path, index, change, left):
    assert sound(written(tmp_path, change(samples_of(*NAMES))), index) == left


def test_of_a_file_that_is_none_or_no_archive_nothing_is_sound(tmp_path, index):
    assert sound(tmp_path / "none.tar", index) == []
    (tmp_path / "text.tar").write_text("no archive" * 200)
    assert sound(tmp_path / "text.tar", index) == []


def test_a_shard_is_complete_by_the_names_in_it_and_not_by_their_number(tmp_path, index):
    path = written(tmp_path, samples_of("mug0", "mug1"))
    sealed = SealedShards(tmp_path, tmp_path / "records")
    info = seal_shard(path, samples_of("mug0", "mug1"), 2)
    sealed.record(SealedShard(info=info))
    failures = Failures(tmp_path / "failures.jsonl")
    plan = ShardPlan(path.name, "train", OBJECTS)

    def rows(split, shard):
        return rows_of_shard(tmp_path / shard.name, split, index.latents, ())

    assert not sealed.is_complete(plan, failures, rows)
    failures.add(OBJECTS[0], "why", 1)  # which is sealed, and mug2 is nowhere
    assert not sealed.is_complete(plan, failures, rows)
    failures.replace(OBJECTS, [Failure(synset="03797390", object="mug2", reason="why", attempts=1)])
    assert sealed.is_complete(plan, failures, rows)
