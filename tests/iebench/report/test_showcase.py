"""Which questions and which neighbors a page shows."""

from pathlib import Path

import pytest
import torch

from iebench.backbones.encoder import Encoder
from iebench.evaluation.predictor_scores import PredictorSpace
from iebench.report.sample import Sample, angles_between, read_sample, represent
from iebench.report.showcase import (
    EXTREMES,
    build_showcase,
    choose_questions,
    neighborhood,
    rank_sample,
)
from iebench.training.run_encoder import encoder_of_run
from shards.schema import open_dataset
from small_runs import small_recipe, untrained_run


@pytest.fixture(scope="module")
def sample(toy_dataset: Path) -> Sample:
    return read_sample(toy_dataset, open_dataset(toy_dataset), 1000)


@pytest.fixture(scope="module")
def encoder(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    run = untrained_run(tmp_path_factory.mktemp("shown") / "run", toy_dataset, small_recipe())
    return encoder_of_run(run, run.last_checkpoint, open_dataset(toy_dataset))


def test_best_worst_and_typical_questions_follow_their_rules(sample: Sample):
    shape = (sample.objects, sample.views_per_object)
    ranks = 1 + torch.rand(shape, generator=torch.Generator().manual_seed(1)).mul(3).round()
    chosen = choose_questions(ranks, sample)
    labels = sample.labels.tolist()
    poses = sample.poses.unflatten(0, shape)
    turns = angles_between(poses[:, :1], poses)
    for why, better in (("best", torch.lt), ("worst", torch.gt)):
        found = [question for question in chosen if question.why == why]
        assert len(found) == min(EXTREMES, len(set(labels)))
        assert len({labels[question.owner] for question in found}) == len(found)
        first = found[0]
        rank = ranks[first.owner, first.target]
        assert not better(ranks[:, 1:], rank).any()
        equal = turns[:, 1:][ranks[:, 1:] == rank]
        extreme = equal.max() if why == "best" else equal.min()
        assert turns[first.owner, first.target] == extreme
    typical = [question for question in chosen if question.why == "typical"]
    assert [labels[question.owner] for question in typical] == sorted(set(labels))
    for question in typical:
        of_class = ranks[sample.labels == labels[question.owner], 1:].flatten()
        assert ranks[question.owner, question.target] == of_class.median()
    assert all(question.target > 0 for question in chosen)


@torch.inference_mode()
def test_ranks_are_those_of_an_evaluation(sample: Sample, encoder: Encoder):
    representations = represent(encoder, sample.images())
    found = rank_sample("run", encoder, sample, representations)
    assert found is not None
    assert encoder.predictor is not None
    names = [latent.name for latent in sample.index.latents]
    space = PredictorSpace(encoder.predictor, sample.features(representations), names, torch.device("cpu"))
    ranks, ranked = space.rank()
    torch.testing.assert_close(found.ranks, ranks)
    assert found.ranked.equal(ranked)
    assert found.groups == ("rotation",)


def test_a_part_that_is_the_pose_has_neighbors_in_that_pose(sample: Sample):
    noise = torch.randn(len(sample.views), 4, generator=torch.Generator().manual_seed(2))
    by_pose = neighborhood("run", "equivariant", sample, sample.poses.float())
    by_noise = neighborhood("run", "invariant", sample, noise)
    assert by_pose.angle.value is not None and by_noise.angle.value is not None
    assert by_pose.angle.value < by_noise.angle.value - 10
    assert by_pose.angle.chance == by_noise.angle.chance
    assert by_noise.angle.low is not None and by_noise.angle.high is not None
    assert by_noise.angle.low < by_noise.angle.value < by_noise.angle.high


def test_a_part_that_is_the_class_has_neighbors_of_that_class_only(sample: Sample):
    one_hot = torch.nn.functional.one_hot(sample.labels[sample.owners]).float()
    found = neighborhood("run", "invariant", sample, one_hot)
    labels = sample.labels[sample.owners]
    others = [
        int(((labels == labels[row]) & (sample.owners != sample.owners[row])).sum())
        for row in range(len(labels))
    ]
    assert max(others) > 0
    for row, count in enumerate(others):
        assert (labels[found.nearest[row, :count]] == labels[row]).all()
    assert 0 < (found.same_class.chance or 0) < (found.same_class.value or 0)


def test_an_encoder_without_predictor_has_neighbors_and_no_questions(sample: Sample):
    encoder = Encoder(lambda images: images.float().mean(dim=(2, 3)), "mean color")
    shown = build_showcase(sample, [("mean color", encoder)])
    assert shown.rankings == [] and shown.questions == []
    assert [item.part for item in shown.neighborhoods] == ["all"]
    assert shown.owners()


def test_all_objects_on_the_page_are_named(sample: Sample, encoder: Encoder):
    shown = build_showcase(sample, [("run", encoder)])
    owners = set(shown.owners())
    assert {question.owner for question in shown.questions} <= owners
    for item in shown.neighborhoods:
        for row in shown.queries:
            assert set(sample.owners[item.nearest[row]].tolist()) <= owners
    assert [item.part for item in shown.neighborhoods] == ["invariant", "equivariant"]
