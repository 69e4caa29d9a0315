"""Pairs and views, as training and evaluation see them."""

import multiprocessing
import pickle
import random
import re
import shutil
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from shards.batches import collate_views
from shards.errors import IebenchError, UsageError
from shards.loader import draw_batches, view_batches, whole_batches
from shards.reader import read_samples, read_views
from shards.schema import open_dataset
from shards.stream import DrawSettings, DrawStream, ViewStream
from shards.variants import VARIANTS, draw_latents
from toys import CLASSES, OBJECTS_PER_CLASS, SEED, SIZE, VIEWS, reseal, toy_samples, with_passes

DOCUMENT = Path(__file__).parents[2] / "docs" / "streaming.md"


@pytest.fixture(scope="module")
def owner_of():
    """Which object and view has these latents."""
    return {
        tuple(draw_latents(VARIANTS["3diebench"], SEED, synset, f"{name}{number}", view)): (
            synset,
            f"{name}{number}",
            view,
        )
        for synset, name in CLASSES.items()
        for number in range(OBJECTS_PER_CLASS)
        for view in range(VIEWS)
    }


@pytest.fixture(scope="module")
def train_views(toy_dataset):
    index = open_dataset(toy_dataset)
    return {
        (view.metadata.synset, view.metadata.object, view.metadata.view): view
        for view in read_views(toy_dataset, index, "train")
    }


@pytest.fixture(scope="module")
def objects(train_views):
    return len({view[:2] for view in train_views})


def stream_of(folder, batch_size=1, step=0, rank=0, ranks=1, **settings):
    settings = DrawSettings(batch_size, **settings)
    stream = DrawStream(folder, open_dataset(folder), "train", settings, rank, ranks)
    stream.start_step = step
    return stream


def batches_of(stream, count, workers=0):
    """Its first batches, each in parts."""
    with draw_batches(stream, workers) as batches:
        return list(islice(batches, count))


def pairs_of(batches, owner_of):
    """The draws of each batch as tuples of (object, view), in order."""
    return [
        [
            tuple(owner_of[tuple(view)] for view in draw)
            for part in parts
            for draw in zip(*(side.tolist() for side in part.latents), strict=True)
        ]
        for parts in batches
    ]


def flat(batches):
    return [pair for batch in batches for pair in batch]


def drawn(folder, owner_of, count, **settings):
    return pairs_of(batches_of(stream_of(folder, **settings), count), owner_of)


def test_pairs_are_different_views_of_one_object(toy_dataset, owner_of):
    for first, second in flat(drawn(toy_dataset, owner_of, 200)):
        assert first[:2] == second[:2] and first != second


@pytest.mark.parametrize("held", [1, 3, 4096])
@pytest.mark.parametrize("interleave", [1, 2, 4])
def test_a_pass_uses_every_view_of_the_split_once(toy_dataset, owner_of, train_views, held, interleave):
    passes = 3
    count = passes * len(train_views) // 2
    pairs = flat(drawn(toy_dataset, owner_of, count, buffer_objects=held, interleave=interleave))
    for number in range(passes):
        part = pairs[number * count // passes : (number + 1) * count // passes]
        assert Counter(view for pair in part for view in pair) == Counter(list(train_views))


def test_one_pair_per_object_uses_every_object_once_a_pass(toy_dataset, owner_of, train_views, objects):
    pairs = flat(drawn(toy_dataset, owner_of, 2 * objects, draws_per_object=1))
    for part in (pairs[:objects], pairs[objects:]):
        assert Counter(first[:2] for first, _ in part) == Counter({view[:2] for view in train_views})


def test_pixels_and_labels_are_those_of_the_views(toy_dataset, owner_of, train_views):
    for (batch,) in batches_of(stream_of(toy_dataset, 3), 10):
        assert all(view.shape == (3, 3, SIZE, SIZE) and view.dtype == torch.uint8 for view in batch.views)
        assert all(side.shape == (3, len(VARIANTS["3diebench"])) for side in batch.latents)
        for side in (0, 1):
            for image, latents, label in zip(
                batch.views[side], batch.latents[side], batch.labels, strict=True
            ):
                view = train_views[owner_of[tuple(latents.tolist())]]
                assert np.array_equal(image.permute(1, 2, 0).numpy(), view.pixels())
                assert label == view.metadata.label


def test_batches_are_a_function_of_the_seed_and_every_pass_is_drawn_anew(toy_dataset, owner_of, objects):
    count = objects * VIEWS // 2
    first, second = (drawn(toy_dataset, owner_of, 2 * count, seed=seed) for seed in (0, 1))
    assert first == drawn(toy_dataset, owner_of, 2 * count, seed=0)
    passes = [first[:count], first[count:], second[:count], second[count:]]
    assert len({frozenset(map(frozenset, flat(pairs))) for pairs in passes}) == 4  # not only their order


@pytest.mark.parametrize("step", [1, 7, 20, 45])
def test_a_stream_that_is_taken_up_at_a_step_goes_on_as_one_that_was_not_left(toy_dataset, owner_of, step):
    settings = {"batch_size": 4, "lanes": 2, "buffer_objects": 5}
    whole = drawn(toy_dataset, owner_of, step + 15, **settings)
    assert drawn(toy_dataset, owner_of, 15, step=step, **settings) == whole[step:]


@pytest.mark.processes
@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_are_the_same_whatever_the_number_of_processes_and_workers(
    toy_dataset, owner_of, ranks, workers
):
    settings = {"batch_size": 8, "lanes": 4}
    alone = drawn(toy_dataset, owner_of, 20, **settings)
    shares = []
    for rank in range(ranks):
        stream = stream_of(toy_dataset, rank=rank, ranks=ranks, **settings)
        running = min(workers, stream.lanes)
        shares.append(pairs_of(batches_of(stream, 20, running), owner_of))
    assert [flat(parts) for parts in zip(*shares, strict=True)] == alone


def test_views_that_training_sees_equally_often_differ_by_less_than_a_lane(toy_dataset, owner_of, objects):
    count = 50 * objects * VIEWS // 2 // 4
    seen = Counter(first[:2] for first, _ in flat(drawn(toy_dataset, owner_of, count, batch_size=4, lanes=2)))
    assert len(seen) == objects
    assert max(seen.values()) / min(seen.values()) <= (objects // 2 + 1) / (objects // 2) * 1.05


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch_size": 4, "lanes": 3}, "cannot be shared out to 3 lanes"),
        ({"batch_size": 4, "lanes": 2, "ranks": 4}, "set training.lanes to 4"),
        ({"batch_size": 4, "ranks": 3}, "choose a batch size that they divide"),
        ({"batch_size": 64, "lanes": 64}, "lower training.lanes"),
    ],
)
def test_lanes_processes_and_batches_that_do_not_divide_are_told_with_what_would(toy_dataset, settings, said):
    with pytest.raises(UsageError, match=said):
        stream_of(toy_dataset, **settings)


@pytest.mark.processes
@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_shard_arrives_as_its_one_sentence(toy_copy, workers):
    shard = toy_copy / "train-000001.tar"
    shard.write_bytes(shard.read_bytes()[:3000] + bytes(shard.stat().st_size - 3000))
    with pytest.raises(IebenchError, match=r"train-000001\.tar") as raised:
        batches_of(stream_of(toy_copy, 2, lanes=2), 100, workers)
    assert "\n" not in str(raised.value)


@pytest.mark.processes
@pytest.mark.parametrize("workers", [0, 2])
def test_a_view_that_does_not_decode_arrives_as_its_one_sentence(toy_copy, workers):
    samples = list(toy_samples("03797390", "mug1"))
    samples[1]["jpg"] = samples[1]["jpg"][:200]
    reseal(toy_copy, "train-000000.tar", samples, objects=1)
    with pytest.raises(IebenchError, match="03797390-mug1-001: its JPEG does not decode"):
        batches_of(stream_of(toy_copy, 2, lanes=2), 100, workers)


def test_an_object_whose_views_are_not_in_order_is_named(toy_copy):
    samples = list(toy_samples("03797390", "mug1"))
    reseal(toy_copy, "train-000000.tar", [samples[place] for place in (0, 2, 1, 3)], objects=1)
    with pytest.raises(IebenchError, match="mug1-002: it stands where view 1 of object 03797390/mug1 should"):
        batches_of(stream_of(toy_copy), 100)


def test_a_dataset_of_one_view_an_object_makes_no_pairs(toy_copy):
    index = open_dataset(toy_copy).model_copy(update={"views_per_object": 1})
    with pytest.raises(UsageError, match="has 1 view of each object, and this training draws 2 together"):
        DrawStream(toy_copy, index, "train", DrawSettings(1))


@pytest.mark.processes
@pytest.mark.parametrize("together", [1, 3, 4])
def test_draws_of_any_number_of_views_are_the_same_from_any_step_and_any_worker(
    toy_dataset, owner_of, objects, together
):
    settings = {"views": together, "lanes": 2, "batch_size": 2}
    found = pairs_of(batches_of(stream_of(toy_dataset, **settings), 2 * objects), owner_of)
    assert {len(draw) for batch in found for draw in batch} == {together}
    for batch in found:
        assert all(len(set(draw)) == together and len({view[:2] for view in draw}) == 1 for draw in batch)
    for step, workers in ((0, 2), (5, 0), (7, 2)):
        again = batches_of(stream_of(toy_dataset, step=step, **settings), 4, workers)
        assert pairs_of(again, owner_of) == found[step : step + 4]


@pytest.mark.processes
@pytest.mark.parametrize("ranks", [1, 2, 3, 20])
@pytest.mark.parametrize("workers", [0, 2])
def test_views_come_once_over_all_processes_and_workers_and_tell_their_place(
    toy_dataset, train_views, ranks, workers
):
    index = open_dataset(toy_dataset)
    found = {}
    for rank in range(ranks):
        stream = ViewStream(toy_dataset, index, "train", 3, rank, ranks)
        with view_batches(stream, workers) as batches:
            for batch in batches:
                for number, image in enumerate(batch.views):
                    assert batch.start + number not in found
                    found[batch.start + number] = (
                        image,
                        batch.names[number],
                        batch.labels[number].item(),
                        batch.latents[number].tolist(),
                    )
    assert sorted(found) == list(range(len(train_views)))
    for place, view in enumerate(read_views(toy_dataset, index, "train")):
        image, name, label, latents = found[place]
        assert np.array_equal(image.permute(1, 2, 0).numpy(), view.pixels())
        assert name == (view.metadata.synset, view.metadata.object)
        assert label == view.metadata.label and latents == list(view.metadata.latents)


def test_views_become_one_tensor_of_channels_last(train_views):
    views = list(train_views.values())[:3]
    tensor = collate_views(views, SIZE, 0).views
    assert tensor.shape == (3, 3, SIZE, SIZE)
    assert tensor.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(tensor[1].permute(1, 2, 0).numpy(), views[1].pixels())


def test_views_of_another_size_than_the_index_says_are_refused(train_views):
    with pytest.raises(IebenchError, match="its JPEG"):
        collate_views(list(train_views.values())[:1], SIZE // 2, 0)


def test_passes_change_neither_pairs_nor_pixels(toy_dataset, tmp_path, owner_of):
    folder = shutil.copytree(toy_dataset, tmp_path / "views")
    index = open_dataset(folder)
    for split in index.splits.values():
        for shard in split.shards:
            reseal(folder, shard.name, list(with_passes(read_samples(folder / shard.name))))
    content = open_dataset(folder).model_copy(update={"passes": ("mask", "depth", "normal")})
    (folder / "dataset.json").write_text(content.to_json())
    plain, passed = (batches_of(stream_of(path, 4), 12) for path in (toy_dataset, folder))
    assert pairs_of(plain, owner_of) == pairs_of(passed, owner_of)
    for (before,), (after,) in zip(plain, passed, strict=True):
        assert torch.equal(before.views[0], after.views[0])


def test_swapped_channels_are_swapped_back(toy_dataset, tmp_path):
    folder = shutil.copytree(toy_dataset, tmp_path / "views")
    swapped = open_dataset(folder).model_copy(update={"channel_order": "bgr"})
    (folder / "dataset.json").write_text(swapped.to_json())
    ((plain,),), ((other,),) = (batches_of(stream_of(path, 4), 1) for path in (toy_dataset, folder))
    assert torch.equal(plain.views[0].flip(1), other.views[0])


def test_an_error_crosses_processes_as_it_is():
    assert str(pickle.loads(pickle.dumps(IebenchError("one sentence")))) == "one sentence"


def test_a_part_that_is_an_error_is_raised_and_no_batch_is_torn():
    assert list(whole_batches(iter(range(7)), 3)) == [(0, 1, 2), (3, 4, 5)]
    with pytest.raises(IebenchError, match="broken"):
        list(whole_batches(iter([1, 2, IebenchError("broken")]), 2))


def test_seeds_do_not_touch_the_generator_of_others(toy_dataset):
    random.seed(5)
    expected = random.random()
    random.seed(5)
    batches_of(stream_of(toy_dataset), 5)
    assert random.random() == expected


@pytest.mark.processes
def test_the_memory_of_a_loader_worker_stays_flat_over_passes(toy_dataset, objects):
    """Compared after the first of ten passes and after the last; a worker that kept views would hold megabytes."""
    stream = stream_of(toy_dataset, 4, buffer_objects=4)
    a_pass = objects * VIEWS // 2 // 4

    def own_pages(worker):
        resident, shared = Path(f"/proc/{worker.pid}/statm").read_text().split()[1:3]
        return int(resident) - int(shared)

    sizes = []
    with draw_batches(stream, 1) as batches:
        (worker,) = multiprocessing.active_children()
        for _ in range(10):
            list(islice(batches, 20 * a_pass))
            sizes.append(own_pages(worker))
    assert sizes[-1] - sizes[0] < 1000  # pages of 4 KiB


@pytest.mark.processes
def test_workers_write_into_the_same_blocks_over_and_over(toy_dataset):
    with draw_batches(stream_of(toy_dataset, 4), 1) as batches:
        places = [part.views.data_ptr() for (part,) in islice(batches, 50)]
    assert len(set(places)) <= 6


@pytest.mark.processes
def test_workers_are_gone_after_an_error_whoever_holds_on_to_it(toy_dataset):
    held = None
    try:
        with draw_batches(stream_of(toy_dataset, 4, lanes=2), 2) as batches:
            for _ in batches:
                raise ValueError
    except ValueError as error:
        held = error
    assert held
    assert not multiprocessing.active_children()


@pytest.mark.processes
def test_the_program_in_the_documentation_gives_pairs(toy_dataset, tmp_path, monkeypatch):
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "views").symlink_to(toy_dataset)
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(compile(program, str(DOCUMENT), "exec"), found)
    assert found["draws"].views.shape == (2, 16, 3, SIZE, SIZE)
