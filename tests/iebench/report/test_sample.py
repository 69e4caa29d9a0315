from pathlib import Path

import torch
import torch.nn.functional as F

from iebench.report.sample import angles_between, nearest_of_others, read_sample, spread
from shards.reader import read_views
from shards.schema import open_dataset


def test_the_nearest_are_of_other_objects_and_nearest_by_cosine():
    vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.8, -0.5], [-1.0, 0.1], [-0.9, 0.3]])
    owners = torch.tensor([0, 0, 1, 1, 2])
    centered = F.normalize(vectors - vectors.mean(dim=0), dim=1)
    for view, found in enumerate(nearest_of_others(vectors, owners).tolist()):
        others = [other for other in range(5) if owners[other] != owners[view]]
        by_hand = sorted(others, key=lambda other: -float(centered[view] @ centered[other]))
        assert found == by_hand[: len(found)]


def test_views_are_whole_objects_of_as_many_classes_as_possible(toy_dataset: Path):
    index = open_dataset(toy_dataset)
    few = read_sample(toy_dataset, index, index.views_per_object)
    assert few.objects == 1
    assert len(few.views) == index.views_per_object
    everything = read_sample(toy_dataset, index, 1000)
    assert len(everything.views) == index.split("val").views
    labels = everything.labels.tolist()
    assert labels == sorted(labels)


def test_a_sample_of_few_views_of_each_object_has_the_first_ones(toy_dataset: Path):
    index = open_dataset(toy_dataset)
    sample = read_sample(toy_dataset, index, 1000, views_each=2)
    assert sample.objects == index.split("val").objects
    assert [view.metadata.view for view in sample.views] == [0, 1] * sample.objects
    assert sample.latents.shape == (sample.objects, 2, len(index.latents))
    stored = {
        (view.metadata.object, view.metadata.view): view for view in read_views(toy_dataset, index, "val")
    }
    for row, view in enumerate(sample.views):
        owner, number = divmod(row, 2)
        assert sample.names[owner][1] == view.metadata.object
        assert view.jpeg == stored[view.metadata.object, number].jpeg
        assert sample.latents[owner, number].tolist() == list(view.metadata.latents)


def test_the_angle_between_poses_does_not_depend_on_the_sign_of_a_quaternion():
    half = torch.tensor([0.0, 0.0, 0.5**0.5, 0.5**0.5], dtype=torch.float64)  # a quarter turn about z
    none = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    for second in (half, -half):
        torch.testing.assert_close(angles_between(none, second).item(), 90.0)


def test_items_are_spread_evenly():
    assert spread([1, 2, 3, 4, 5, 6], 3) == [1, 3, 5]
    assert spread([1, 2], 3) == [1, 2]
