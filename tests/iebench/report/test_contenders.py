from typing import Any

import numpy as np
import pytest

from evaluations import made_up_subject
from iebench.evaluation.intervals import PerObject
from iebench.evaluation.results import ScoreKey
from iebench.report.contenders import contenders_of, untrained_beside, untrained_of

TOP1 = ScoreKey("classification", "all", "top1")
OBJECTS = 60


def scores(mean: float, seed: int = 0, untrained: float = 0.2) -> dict[str, PerObject]:
    """Top-1 of both networks, about ``mean`` and ``untrained``, on the same easy and hard objects."""
    easy = np.random.default_rng(99).random((OBJECTS, 1)) * 0.2 - 0.1
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(OBJECTS, 8)) * 0.05
    return {
        f"{network}/classification/all/top1": PerObject.mean_of(easy + level + noise, 0.16)
        for network, level in (("trained", mean), ("untrained", untrained))
    }


def recipe(seed: int, method: str = "sie", epochs: int = 10) -> dict[str, Any]:
    return {
        "method": {"name": method},
        "backbone": {"name": "resnet18"},
        "training": {"seed": seed, "epochs": epochs},
    }


def test_runs_that_differ_only_in_their_seed_are_one_contender():
    subjects = [
        made_up_subject("sie-seed0", scores(0.50, 0), recipe(0)),
        made_up_subject("simclr", scores(0.4), recipe(0, "simclr")),
        made_up_subject("sie-seed1", scores(0.54, 1), recipe(1)),
        made_up_subject("longer", scores(0.6), recipe(0, epochs=20)),
    ]
    found = contenders_of(subjects)
    assert [item.title for item in found] == ["sie (2 seeds)", "simclr", "longer"]
    summary = found[0].summary(TOP1)
    assert summary.number == 2
    assert summary.mean == pytest.approx(0.52, abs=0.02)
    assert summary.spread == pytest.approx(0.04 / np.sqrt(2), abs=0.01)
    assert summary.low < 0.52 < summary.high


def test_two_seeds_that_disagree_give_no_share_outside_0_and_1():
    subjects = [
        made_up_subject(f"sie-{seed}", scores(mean), recipe(seed)) for seed, mean in enumerate((0.2, 0.8))
    ]
    (found,) = contenders_of(subjects)
    summary = found.summary(TOP1)
    assert (summary.low, summary.high) == (0, 1)


def test_the_same_seed_twice_is_two_contenders():
    subjects = [made_up_subject(name, scores(0.5), recipe(0)) for name in ("first", "second")]
    assert [item.title for item in contenders_of(subjects)] == ["first", "second"]


def test_other_encoders_stay_apart_and_have_no_untrained_network():
    trained = {"trained/classification/all/top1": scores(0.5)["trained/classification/all/top1"]}
    found = contenders_of([made_up_subject(name, trained) for name in ("resnet50", "vit")])
    assert [item.title for item in found] == ["resnet50", "vit"]
    assert untrained_of(found) == []


def test_the_untrained_network_of_a_backbone_is_shown_once_with_its_seeds():
    subjects = [
        made_up_subject(f"{method}-{seed}", scores(0.5, seed), recipe(seed, method))
        for method in ("sie", "simclr")
        for seed in (0, 1)
    ]
    found = contenders_of(subjects)
    (untrained,) = untrained_of(found)
    assert untrained.title == "untrained (2 seeds)"
    assert untrained.is_whole_only
    assert untrained.summary(TOP1).number == 2
    assert all(untrained_beside(item, [untrained]) is untrained for item in found)


def test_differences_are_paired_and_need_the_same_objects():
    first, second = contenders_of(
        [
            made_up_subject("a", scores(0.52), recipe(0)),
            made_up_subject("b", scores(0.50, 1), recipe(0, "simclr")),
        ]
    )
    difference = first.difference(second, TOP1)
    assert difference.is_difference  # though the intervals, which hold the objects' own spread, overlap
    assert first.summary(TOP1).low < second.summary(TOP1).high
    (bare,) = contenders_of([made_up_subject("c", scores(0.5), recipe(0, "byol"), is_stored=False)])
    assert first.difference(bare, TOP1) is None
    assert bare.summary(TOP1).low is not None
