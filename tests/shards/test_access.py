"""Single views in any order: those of the streams, from files and over ranges, in threads and processes."""

import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from test_table import rewrite_table, with_column
from torch.utils.data import DataLoader

from shards.access import Dataset
from shards.errors import IebenchError, UsageError
from shards.mirror import local_shard
from shards.reader import read_samples, read_views
from shards.schema import INDEX_NAME, open_dataset
from shards.table import TABLE_NAME
from toys import SIZE, VIEWS, reseal, rewrite_index, with_passes
from unreliable_server import Fault, serving

FORMAT = Path(__file__).parents[2] / "docs" / "format.md"


@pytest.fixture
def remote(indexed_copy, cache):
    with serving(indexed_copy) as state:
        yield state


def test_places_and_names_give_the_views_in_the_order_of_the_index(indexed_dataset):
    index = open_dataset(indexed_dataset)
    for split in ("train", "val"):
        views = list(read_views(indexed_dataset, index, split))
        dataset = Dataset(indexed_dataset, split)
        assert len(dataset) == len(views)
        for place, view in reversed(list(enumerate(views))):
            assert dataset.read(place) == view
            assert dataset.view(view.metadata.synset, view.metadata.object, view.metadata.view) == view
        image, latents, label = dataset[-1]
        assert np.array_equal(image.permute(1, 2, 0), views[-1].pixels())
        assert (tuple(latents.tolist()), label) == (views[-1].metadata.latents, views[-1].metadata.label)
    assert len(Dataset(indexed_dataset)) == sum(split.views for split in index.splits.values())


def test_what_is_not_there_is_said(indexed_dataset, toy_dataset):
    dataset = Dataset(indexed_dataset)
    for place in (len(dataset), -len(dataset) - 1):
        with pytest.raises(IndexError):
            dataset[place]
    for name in (("03797390", "nobody", 0), ("03797390", "mug0", VIEWS), ("03797390", "mug0", -1)):
        with pytest.raises(UsageError, match="holds no view"):
            dataset.view(*name)
    with pytest.raises(IebenchError, match="run `iebench index`"):
        Dataset(toy_dataset)
    with pytest.raises(UsageError, match="no view in split 'test'"):
        Dataset(indexed_dataset, "test")


def test_passes_come_with_a_view(toy_copy):
    for split in open_dataset(toy_copy).splits.values():
        for shard in split.shards:
            reseal(toy_copy, shard.name, list(with_passes(read_samples(toy_copy / shard.name))))
    rewrite_index(
        toy_copy, {**open_dataset(toy_copy).model_dump(mode="json"), "passes": ["mask", "depth", "normal"]}
    )
    from shards.indexing import index_dataset

    index = index_dataset(toy_copy)
    dataset = Dataset(toy_copy, "val")
    for place, view in enumerate(read_views(toy_copy, index, "val")):
        assert dataset.read(place) == view and view.passes
        assert dataset.read(place).depth().shape == (SIZE, SIZE)


def test_a_transform_makes_the_image_and_a_loader_makes_batches(indexed_dataset):
    dataset = Dataset(indexed_dataset, "train", transform=lambda image: torch.tensor(image.size))
    batch = next(iter(DataLoader(dataset, batch_size=5, shuffle=True)))
    assert batch.image.tolist() == [[SIZE, SIZE]] * 5
    assert batch.latents.shape == (5, 7) and batch.latents.dtype == torch.float64
    assert batch.label.shape == (5,)


@pytest.mark.processes
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_pairs_are_two_views_of_each_object_and_workers_draw_their_own(indexed_dataset, context):
    dataset = Dataset(indexed_dataset, "train")
    pairs = dataset.pairs()
    assert len(pairs) == len(dataset.objects)
    for number, (synset, name) in enumerate(dataset.objects):
        first, second = pairs[number]
        known = [dataset.view(synset, name, view).metadata.latents for view in range(VIEWS)]
        places = [known.index(tuple(item.latents.tolist())) for item in (first, second)]
        assert places[0] != places[1]
    loader = DataLoader(
        pairs,
        batch_size=4,
        num_workers=2,
        multiprocessing_context=context,
        persistent_workers=context == "spawn",  # which import PyTorch for seconds
    )
    torch.manual_seed(0)
    epochs = [torch.cat([first.latents for first, _ in loader]) for _ in range(2)]
    assert epochs[0].shape == (len(pairs), 7) and not torch.equal(*epochs)
    assert len(pickle.loads(pickle.dumps(dataset))) == len(dataset)


def test_threads_read_what_one_reads(indexed_dataset):
    dataset = Dataset(indexed_dataset)
    expected = [dataset.read(place) for place in range(len(dataset))]
    places = torch.randint(len(dataset), (600,)).tolist()
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(dataset.read, places)) == [expected[place] for place in places]


def test_an_address_is_read_by_ranges_and_no_shard_is_fetched(remote):
    dataset = Dataset(remote.address, "train")
    views = list(read_views(remote.folder, dataset.index, "train"))
    places = [0, 17, len(dataset) - 1, 5]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(dataset.read, places)) == [views[place] for place in places]
    asked = [(name, header) for name, header in remote.requests if name not in (INDEX_NAME, TABLE_NAME)]
    assert len(asked) == 4 and all(re.fullmatch(r"bytes=\d+-\d+", header) for _, header in asked)
    assert not list((remote.folder / "cache").glob("**/*.tar"))


def test_of_the_table_at_an_address_only_the_rows_of_one_shard_are_read_for_a_view(remote):
    wanted = next(read_views(remote.folder, open_dataset(remote.folder), "val"))
    dataset = Dataset(remote.address)
    opened = len(remote.asked(TABLE_NAME))
    name = wanted.metadata.synset, wanted.metadata.object, 0
    assert dataset.view(*name) == wanted
    rows = remote.asked(TABLE_NAME)
    assert len(rows) > opened and all(rows), "by ranges"
    assert dataset.view(*name[:2], 1).metadata.view == 1
    assert remote.asked(TABLE_NAME) == rows, "the rows of a shard are read once"
    assert [shard for shard, _ in remote.requests if shard.endswith(".tar")] == ["val-000000.tar"] * 2


def test_a_shard_in_the_cache_is_read_there(remote):
    dataset = Dataset(remote.address, "train")
    from shards.mirror import dataset_folder

    folder = dataset_folder(remote.address)
    local_shard(folder, dataset.index.split("train").shards[0])
    before = len(remote.requests)
    assert dataset.read(3).metadata.view == 3
    assert {name for name, _ in remote.requests[before:]} == {TABLE_NAME}


def test_a_server_without_ranges_gives_the_shard(indexed_dataset, cache):
    with serving(indexed_dataset, ranges=False) as server:
        dataset = Dataset(server.address, "val")
        assert dataset.read(2) == list(read_views(indexed_dataset, dataset.index, "val"))[2]
        assert dataset.read(1).metadata.view == 1
        assert server.asked("val-000000.tar")[1:] == [""]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(shift=7), "another part than it was asked for"),
        (Fault(cut_after=100), "ended after"),
        (Fault(alter=700), "does not hold 02876657-"),
        (Fault(drop_after=0), "could not be read in"),
        (Fault(status=403), "may not be read"),
        (Fault(status=206), "could not be read in"),
    ],
    ids=["shifted", "short", "altered", "dropped", "forbidden", "no range said"],
)
def test_ranges_that_are_answered_wrongly_are_one_sentence(remote, fault, said):
    dataset = Dataset(remote.address, "val")
    remote.always["val-000000.tar"] = fault
    with pytest.raises(IebenchError, match=said):
        dataset.read(0)
    del remote.always["val-000000.tar"]
    assert dataset.read(0).metadata.view == 0


def test_a_range_that_drops_is_taken_up(remote):
    dataset = Dataset(remote.address, "val")
    remote.faults["val-000000.tar"] = [Fault(drop_after=50, linger=0.3), Fault(status=503)]
    assert dataset.read(0) == next(read_views(remote.folder, dataset.index, "val"))


@pytest.mark.parametrize("column", ["jpg_offset", "jpg_size", "json_offset", "object"])
@pytest.mark.parametrize("shift", [-512, 1, 10**12])
def test_a_table_that_leads_elsewhere_gives_no_view(indexed_copy, column, shift):
    def change(table):
        values = table[column].to_pylist()
        moved = [f"{value}{shift}" if column == "object" else value + shift for value in values]
        return with_column(table, column, moved)

    rewrite_table(indexed_copy, change)
    dataset = Dataset(indexed_copy)
    with pytest.raises(IebenchError, match="does not hold"):
        dataset[0]


def test_the_program_of_the_format_s_page_reads_views_and_pairs(indexed_dataset, monkeypatch):
    (program,) = (
        text
        for text in re.findall(r"```python\n(.*?)```", FORMAT.read_text(), re.DOTALL)
        if "Dataset(" in text and "shards.access" in text
    )
    monkeypatch.chdir(indexed_dataset.parents[1])
    monkeypatch.setitem(
        __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__), "print", lambda *_: None
    )
    synset, name = Dataset(indexed_dataset, "train").objects[0]
    found: dict = {}
    exec(program.replace("02691156", synset).replace("1a04e3ea", name), found)
    assert found["before"].image.shape[1:] == (3, SIZE, SIZE)
    assert found["view"].metadata.view == 3
