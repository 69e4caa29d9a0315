from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from iebench.backbones.encoder import Encoder
from iebench.evaluation import features
from iebench.evaluation.features import Features, FeatureSource, FeatureStore, extract_features
from iebench.training.processes import Processes
from shards.errors import IebenchError, UsageError
from shards.reader import read_samples, read_views
from shards.schema import DatasetIndex, open_dataset
from toys import reseal

CPU = torch.device("cpu")


class CountingEncoder:
    """Mean colors, and how many views were seen."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)


def store_in(
    folder: Path, index: DatasetIndex, split: str = "train", fingerprint: str = "one"
) -> FeatureStore:
    objects, views = index.split(split).objects, index.views_per_object
    source = FeatureSource(fingerprint, "data", split, objects, views, len(index.latents), 12)
    return FeatureStore(folder, source)


def extract(
    data: Path, *stores: FeatureStore, batch_size: int = 5, encoder: CountingEncoder | None = None
) -> CountingEncoder:
    counting = encoder or CountingEncoder()
    pairs = [(Encoder(counting, "counting"), store) for store in stores]
    split = stores[0].source.split
    extract_features(pairs, data, open_dataset(data), split, batch_size, Processes(0, 1, CPU))
    return counting


def same(first: Features, second: Features) -> bool:
    return (
        torch.equal(first.representations, second.representations)
        and torch.equal(first.latents, second.latents)
        and torch.equal(first.labels, second.labels)
        and first.names == second.names
    )


def test_the_frozen_pass_sees_every_view_once_in_order(toy_dataset: Path, tmp_path: Path):
    index = open_dataset(toy_dataset)
    store = store_in(tmp_path / "kept", index)
    counting = extract(toy_dataset, store)
    found = store.read()
    views = list(read_views(toy_dataset, index, "train"))
    assert counting.seen == len(views) == found.representations[..., 0].numel()
    latents = torch.tensor([view.metadata.latents for view in views], dtype=torch.float64)
    assert torch.equal(found.latents.flatten(0, 1), latents)
    assert found.names == list(dict.fromkeys((view.metadata.synset, view.metadata.object) for view in views))
    pixels = torch.from_numpy(np.stack([view.pixels() for view in views])).movedim(-1, 1)
    torch.testing.assert_close(
        found.representations.flatten(0, 1).float(), CountingEncoder()(pixels), rtol=2e-3, atol=1e-3
    )


def test_features_do_not_depend_on_batches_or_chunks(toy_dataset: Path, tmp_path: Path, monkeypatch):
    index = open_dataset(toy_dataset)
    whole = store_in(tmp_path / "whole", index)
    extract(toy_dataset, whole, batch_size=64)
    monkeypatch.setattr(features, "CHUNK_VIEWS", 9)
    parts = store_in(tmp_path / "parts", index)
    assert len(parts.chunks()) > 3
    extract(toy_dataset, parts, batch_size=3)
    assert same(whole.read(), parts.read())


def test_one_pass_serves_several_encoders(toy_dataset: Path, tmp_path: Path):
    index = open_dataset(toy_dataset)
    stores = [store_in(tmp_path / name, index, fingerprint=name) for name in ("a", "b")]
    counting = extract(toy_dataset, *stores)
    assert counting.seen == 2 * index.split("train").views
    assert same(stores[0].read(), stores[1].read())


def test_a_killed_pass_goes_on_behind_its_last_chunk(toy_dataset: Path, tmp_path: Path, monkeypatch):
    index = open_dataset(toy_dataset)
    monkeypatch.setattr(features, "CHUNK_VIEWS", 16)
    whole = store_in(tmp_path / "whole", index)
    extract(toy_dataset, whole)

    class Killed(CountingEncoder):
        def __call__(self, images: Tensor) -> Tensor:
            if self.seen > 40:
                raise KeyboardInterrupt
            return super().__call__(images)

    store = store_in(tmp_path / "kept", index)
    with pytest.raises(KeyboardInterrupt):
        extract(toy_dataset, store, encoder=Killed())
    assert not store.is_complete()
    rest = extract(toy_dataset, store)
    assert 0 < rest.seen < index.split("train").views - 16
    assert same(store.read(), whole.read())
    assert extract(toy_dataset, store).seen == 0


@pytest.mark.parametrize("name", ["features.npy", "latents.npy", "labels.npy", "meta.json"])
def test_a_stored_file_that_is_cut_short_is_computed_again(toy_dataset: Path, tmp_path: Path, name: str):
    index = open_dataset(toy_dataset)
    store = store_in(tmp_path / "kept", index)
    extract(toy_dataset, store)
    before = store.read()
    before = Features(before.representations.clone(), before.latents, before.labels, before.names)
    path = store.folder / name
    path.write_bytes(path.read_bytes()[:-30])
    assert not store.is_complete()
    assert extract(toy_dataset, store).seen == index.split("train").views
    assert same(store.read(), before)


def test_features_of_another_encoder_or_dataset_are_not_taken(toy_dataset: Path, tmp_path: Path):
    index = open_dataset(toy_dataset)
    extract(toy_dataset, store_in(tmp_path / "kept", index))
    other = store_in(tmp_path / "kept", index, fingerprint="two")
    assert not other.is_complete()
    assert extract(toy_dataset, other).seen == index.split("train").views


def test_an_object_that_lacks_views_is_one_sentence(toy_copy: Path, tmp_path: Path):
    shard = open_dataset(toy_copy).split("val").shards[0]
    samples = list(read_samples(toy_copy / shard.name))
    index = reseal(toy_copy, shard.name, samples[:-1])
    with pytest.raises(IebenchError, match="iebench verify"):
        extract(toy_copy, store_in(tmp_path / "kept", index, "val"))


def test_a_folder_that_a_process_does_not_see_is_one_sentence(toy_dataset: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(FeatureStore, "prepare", lambda self: None)  # as if made on another node
    with pytest.raises(UsageError, match="need one file system"):
        extract(toy_dataset, store_in(tmp_path / "kept", open_dataset(toy_dataset)))
