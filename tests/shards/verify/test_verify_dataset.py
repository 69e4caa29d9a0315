"""An index that does not agree with its shards is found; shards may be read in any order."""

import json
import tracemalloc

import pytest

from faults import SHARD, problems, samples_with
from shards.errors import IebenchError
from shards.reader import read_samples
from shards.samples import Sample
from shards.schema import INDEX_NAME, open_dataset, parse_index
from shards.verify import verify_dataset
from shards.verify.shard import ShardJob, check_shard
from shards.writer import seal_shard
from toys import reseal, rewrite_index, toy_samples


def test_a_whole_dataset_has_no_problem_and_every_view_is_counted(toy_dataset):
    index = parse_index(toy_dataset / INDEX_NAME)
    counted = []
    assert list(verify_dataset(toy_dataset, index, counted.append)) == []
    assert sum(counted) == sum(split.views for split in index.splits.values())


def test_a_resealed_shard_that_keeps_the_dataset_format_has_no_problem(toy_copy):
    reseal(toy_copy, SHARD, samples_with(0), objects=1)
    assert problems(toy_copy) == []


def test_a_missing_and_an_unknown_shard_are_found(toy_copy):
    (toy_copy / SHARD).rename(toy_copy / "extra.tar")
    assert problems(toy_copy) == ["extra.tar: dataset.json does not know it", f"{SHARD}: it is missing"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("bytes", 5, "bytes and should have 5"),
        ("sha256", "0" * 64, "its SHA-256 is not the one in dataset.json"),
        ("objects", 6, "it holds 20 views of 5 objects and should hold 20 of 6"),
        ("views", 24, "it holds 20 views of 5 objects and should hold 24 of 5"),
    ],
)
def test_an_index_that_disagrees_with_a_shard_is_found(toy_copy, field, value, said):
    content = json.loads((toy_copy / INDEX_NAME).read_text())
    content["splits"]["train"]["shards"][0][field] = value
    rewrite_index(toy_copy, content)
    assert any(problem.startswith(SHARD) and said in problem for problem in problems(toy_copy))


@pytest.mark.parametrize("total", ["objects", "views"])
def test_an_index_whose_totals_disagree_is_found(toy_copy, total):
    content = json.loads((toy_copy / INDEX_NAME).read_text())
    content["splits"]["val"][total] += 1
    rewrite_index(toy_copy, content)
    assert problems(toy_copy) == [f"{INDEX_NAME}: the {total} of the val shards do not add up to its total"]


def test_a_dataset_without_an_index_cannot_be_verified(tmp_path):
    with pytest.raises(IebenchError, match=r"dataset\.json is not a dataset index that can be read"):
        parse_index(tmp_path / INDEX_NAME)


def first_object(folder, shard: str) -> list[Sample]:
    return list(read_samples(folder / shard))[:4]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("train-000001.tar", f"its object is in {SHARD} too"),
        ("val-000000.tar", f"its object is in {SHARD} too, and so in both train and val"),
    ],
)
def test_an_object_in_two_shards_or_in_both_splits_is_found(toy_copy, other, said):
    object_of_train = first_object(toy_copy, SHARD)
    reseal(toy_copy, other, object_of_train, objects=1)
    assert problems(toy_copy) == [f"{other}, sample {object_of_train[0]['__key__']}: {said}"]


def test_a_shard_that_the_index_names_twice_is_found(toy_copy):
    content = json.loads((toy_copy / INDEX_NAME).read_text())
    content["splits"]["train"]["shards"][1] = content["splits"]["train"]["shards"][0]
    rewrite_index(toy_copy, content)
    found = problems(toy_copy)
    assert found[:2] == [
        "train-000001.tar: dataset.json does not know it",
        f"{SHARD}: dataset.json names it 2 times",
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda classes: classes.reverse(),
        lambda classes: classes[0].update(label=7),
        lambda classes: classes.append({**classes[-1], "label": 3}),
    ],
    ids=["order", "label", "twice"],
)
def test_classes_that_are_not_the_sorted_synsets_are_found(toy_copy, change):
    content = json.loads((toy_copy / INDEX_NAME).read_text())
    change(content["classes"])
    rewrite_index(toy_copy, content)
    said = "its classes are not the sorted synsets with the labels 0, 1, 2, ..."
    assert f"{INDEX_NAME}: {said}" in problems(toy_copy)


def test_a_class_that_is_missing_is_found(toy_copy):
    content = json.loads((toy_copy / INDEX_NAME).read_text())
    del content["classes"][2]
    rewrite_index(toy_copy, content)
    found = problems(toy_copy)
    assert len(found) == 7 * 4 and all(
        "label 2 is not that of synset 03797390" in problem for problem in found
    )


@pytest.mark.processes
def test_several_processes_find_the_same_in_the_same_order(toy_copy):
    paths = sorted(toy_copy.glob("*.tar"))
    for number, path in enumerate(paths):
        data = bytearray(path.read_bytes())
        data[1000 + 4000 * number] ^= 1
        path.write_bytes(data)
    paths[2].unlink()
    alone = problems(toy_copy)
    assert len(alone) > 2 * len(paths) - 2
    assert [problems(toy_copy, workers=workers) for workers in (2, 3)] == [alone, alone]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_shard(tmp_path, toy_dataset):
    def peak(objects: int) -> int:
        samples = (sample for number in range(objects) for sample in toy_samples("03797390", f"mug{number}"))
        shard = seal_shard(tmp_path / SHARD, samples, objects)
        job = ShardJob(0, tmp_path, shard, open_dataset(toy_dataset), "train")
        check_shard(job)  # what is loaded once is loaded
        tracemalloc.start()
        try:
            assert check_shard(job).problems == ()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(5), peak(400)
    size = (tmp_path / SHARD).stat().st_size
    assert size > 4e6 and many - few < size / 20
