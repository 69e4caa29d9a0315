"""Pairs of views, as training sees them."""

import random
import shutil
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch

from shards.errors import IebenchError
from shards.reader import read_samples, read_views
from shards.schema import VARIANTS, draw_latents, open_dataset
from shards.stream import PairStream, raise_errors, view_tensor
from toys import CLASSES, OBJECTS_PER_CLASS, SEED, VIEWS, reseal, toy_samples, with_passes


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


def stream_of(folder, passed=0, **settings):
    stream = PairStream(folder, open_dataset(folder), "train", **{"batch_size": 1, **settings})
    stream.start_pass = passed
    return stream


def pairs_of(batches, owner_of):
    """The pairs as (object, view), (object, view), in order."""
    found = []
    for batch in raise_errors(batches):
        for first, second in zip(*(side.tolist() for side in batch.latents), strict=True):
            found.append((owner_of[tuple(first)], owner_of[tuple(second)]))
    return found


@pytest.fixture(scope="module")
def train_views(toy_dataset):
    index = open_dataset(toy_dataset)
    return {
        (view.metadata.synset, view.metadata.object, view.metadata.view): view
        for view in read_views(toy_dataset, index, "train")
    }


def test_pairs_are_different_views_of_one_object(toy_dataset, owner_of):
    pairs = pairs_of(stream_of(toy_dataset), owner_of)
    assert pairs
    assert all(first[:2] == second[:2] and first != second for first, second in pairs)


def test_a_pass_uses_every_view_of_the_split_once(toy_dataset, owner_of, train_views):
    pairs = pairs_of(stream_of(toy_dataset), owner_of)
    assert Counter(view for pair in pairs for view in pair) == Counter(list(train_views))


def test_one_pair_per_object_uses_every_object_once(toy_dataset, owner_of, train_views):
    pairs = pairs_of(stream_of(toy_dataset, pairs_per_object=1), owner_of)
    assert Counter(first[:2] for first, _ in pairs) == Counter({view[:2] for view in train_views})


def test_pixels_and_labels_are_those_of_the_views(toy_dataset, owner_of, train_views):
    for batch in stream_of(toy_dataset, batch_size=3):
        assert all(view.shape == (3, 3, 32, 32) and view.dtype == torch.uint8 for view in batch.views)
        assert all(side.shape == (3, len(VARIANTS["3diebench"])) for side in batch.latents)
        for side in (0, 1):
            for image, latents, label in zip(
                batch.views[side], batch.latents[side], batch.labels, strict=True
            ):
                view = train_views[owner_of[tuple(latents.tolist())]]
                assert np.array_equal(image.permute(1, 2, 0).numpy(), view.pixels())
                assert label == view.metadata.label


def test_a_pass_is_a_function_of_seed_and_pass(toy_dataset, owner_of):
    def drawn(seed, passed):
        return pairs_of(stream_of(toy_dataset, passed, seed=seed), owner_of)

    assert drawn(0, 0) == drawn(0, 0)
    different = [drawn(0, 0), drawn(0, 1), drawn(1, 0), drawn(1, 1)]
    assert all(a != b for position, a in enumerate(different) for b in different[:position])
    assert len({frozenset(map(frozenset, pairs)) for pairs in different}) == 4  # not only their order


def test_pairs_of_one_object_are_mixed_with_those_of_others(toy_dataset, owner_of):
    pairs = pairs_of(stream_of(toy_dataset), owner_of)
    together = sum(first[0][:2] == second[0][:2] for first, second in pairwise(pairs))
    assert together < len(pairs) / 4


def test_a_buffer_of_one_loses_nothing(toy_dataset, owner_of, train_views):
    pairs = pairs_of(stream_of(toy_dataset, buffer=1), owner_of)
    assert Counter(view for pair in pairs for view in pair) == Counter(list(train_views))


def test_the_last_incomplete_batch_is_dropped(toy_dataset, train_views):
    pairs = len(train_views) // 2
    sizes = [len(batch.labels) for batch in stream_of(toy_dataset, batch_size=pairs - 1)]
    assert sizes == [pairs - 1]


def test_two_loader_workers_lose_and_double_nothing(toy_dataset, owner_of, train_views):
    loader = torch.utils.data.DataLoader(stream_of(toy_dataset), batch_size=None, num_workers=2)
    pairs = pairs_of(loader, owner_of)
    assert Counter(view for pair in pairs for view in pair) == Counter(list(train_views))
    assert pairs == pairs_of(loader, owner_of)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_shard_arrives_as_its_one_sentence(toy_copy, workers):
    shard = toy_copy / "train-000001.tar"
    shard.write_bytes(shard.read_bytes()[:3000] + bytes(shard.stat().st_size - 3000))
    loader = torch.utils.data.DataLoader(stream_of(toy_copy), batch_size=None, num_workers=workers)
    with pytest.raises(IebenchError, match=r"train-000001\.tar") as raised:
        list(raise_errors(loader))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_view_that_does_not_decode_arrives_as_its_one_sentence(toy_copy, workers):
    samples = list(toy_samples("03797390", "mug1"))
    samples[1]["jpg"] = samples[1]["jpg"][:200]
    reseal(toy_copy, "train-000000.tar", samples, objects=1)
    loader = torch.utils.data.DataLoader(stream_of(toy_copy), batch_size=None, num_workers=workers)
    with pytest.raises(IebenchError, match="03797390-mug1-001: its JPEG does not decode"):
        list(raise_errors(loader))


def test_views_become_one_tensor_of_channels_first(train_views):
    views = list(train_views.values())[:3]
    tensor = view_tensor(views)
    assert tensor.shape == (3, 3, 32, 32) and tensor.is_contiguous()
    assert np.array_equal(tensor[2].permute(1, 2, 0).numpy(), views[2].pixels())


def test_passes_change_nothing_in_training_and_are_not_held_in_memory(toy_dataset, tmp_path):
    index = open_dataset(toy_dataset)
    with_more = shutil.copytree(toy_dataset, tmp_path / "views")
    for shard in index.splits["train"].shards:
        reseal(with_more, shard.name, list(with_passes(read_samples(toy_dataset / shard.name))))
    streams = [
        PairStream(folder, open_dataset(folder), "train", batch_size=4, seed=1)
        for folder in (toy_dataset, with_more)
    ]
    for plain, more in zip(*streams, strict=True):
        assert all(map(torch.equal, plain.views + plain.latents, more.views + more.latents))
    pairs = streams[1]._pairs(list(open_dataset(with_more).splits["train"].shards), random.Random(0))
    assert all(not view.passes for pair in pairs for view in pair)
