"""A stream from an address begins before its shards have come, and gives what it gives from a folder."""

from itertools import islice

import pytest
import torch

from processes import wait_for
from shards.errors import IebenchError
from shards.loader import draw_batches, view_batches
from shards.mirror import dataset_folder
from shards.schema import open_dataset
from shards.stream import DrawSettings, DrawStream, ViewStream
from shards.table import TABLE_NAME
from unreliable_server import Fault, serving

SETTINGS = DrawSettings(batch_size=4, lanes=2, buffer_objects=4, interleave=2)


@pytest.fixture
def server(indexed_copy, cache):
    with serving(indexed_copy) as state:
        yield state


def pairs(folder, count, workers=0, start_step=0):
    stream = DrawStream(folder, open_dataset(folder), "train", SETTINGS)
    stream.start_step = start_step
    with draw_batches(stream, workers) as batches:
        parts = [part for batch in islice(batches, count) for part in batch]
    return torch.cat([part.views for part in parts], 1), torch.cat([part.latents for part in parts], 1)


def all_views(folder, split="train"):
    with view_batches(ViewStream(folder, open_dataset(folder), split, 6), 0) as batches:
        return torch.cat([batch.views for batch in batches])


def same(first, second):
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.processes
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("start_step", [0, 5])
def test_pairs_from_a_cold_cache_are_those_from_a_folder_pass_after_pass(server, workers, start_step):
    there = pairs(dataset_folder(server.address), 30, workers, start_step)
    assert same(there, pairs(server.folder, 30, workers, start_step))


def test_the_first_pairs_need_no_shard_and_shards_come_afterwards(server):
    for path in server.folder.glob("*.tar"):
        server.always[path.name] = Fault()
    folder = dataset_folder(server.address)
    index = open_dataset(folder)
    stream = DrawStream(folder, index, "train", SETTINGS)
    with draw_batches(stream, 0) as batches:
        next(batches)
        asked = [header for name, header in server.requests if name.endswith(".tar")]
        assert len(asked) == 8 and all(not header.endswith("-") and header for header in asked)
        next(batches)
        wait_for(lambda: len(list(folder.glob("train-*.tar"))) == len(index.split("train").shards))
        before = len(server.requests)
        for _ in range(40):
            next(batches)
        assert len(server.requests) == before, "shards that have come are read where they are"


def test_the_rows_of_the_table_come_by_ranges_too(server):
    folder = dataset_folder(server.address)
    pairs(folder, 1)
    assert not (folder / TABLE_NAME).exists()
    assert all(header for header in server.asked(TABLE_NAME))


def test_evaluation_begins_with_ranges_of_objects_and_sees_every_view(server):
    folder = dataset_folder(server.address)
    assert torch.equal(all_views(folder), all_views(server.folder))
    first = open_dataset(folder).split("train").shards[0].name
    assert all(header for header in server.asked(first)[:3])
    assert torch.equal(all_views(folder), all_views(server.folder))


def test_a_server_without_ranges_and_a_dataset_without_a_table_are_read_by_shards(
    indexed_copy, toy_dataset, cache
):
    for source in (indexed_copy, toy_dataset):
        with serving(source, ranges=False) as server:
            folder = dataset_folder(server.address)
            assert same(pairs(folder, 5), pairs(source, 5))
            assert torch.equal(all_views(folder, "val"), all_views(source, "val"))


@pytest.mark.processes
@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_read_is_one_sentence(server, workers):
    for shard in open_dataset(server.folder).split("train").shards:
        server.always[shard.name] = Fault(alter=700)
    with pytest.raises(IebenchError, match=r"does not hold|another SHA-256"):
        pairs(dataset_folder(server.address), 30, workers)
