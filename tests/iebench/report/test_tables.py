import numpy as np
import pytest

from evaluations import made_up_evaluation, made_up_subject, metrics_without_format
from iebench.evaluation.intervals import PerObject
from iebench.evaluation.results import ScoreKey
from iebench.report.contenders import Contender, contenders_of, untrained_of
from iebench.report.metrics import METRICS, percent
from iebench.report.tables import metric_at, overview, results_table, row_of, text_table
from iebench.report.wording import outcome_sentences
from shards.errors import IebenchError

TOP1, MRR = ScoreKey("classification", "all", "top1"), ScoreKey("retrieval", "val-val", "mrr")
PRE = ScoreKey("retrieval", "val-val", "pre")


def values(mean: float, seed: int = 0) -> PerObject:
    generator = np.random.default_rng(seed)
    noise = 0.02 * generator.normal(size=(50, 6))
    return PerObject.mean_of(mean + noise - noise.mean(), 0.2)


def contender(title: str, told: tuple[str, ...] = (), **means: float) -> Contender:
    """A contender with the given means of top1, mrr and pre, and of the untrained network's top1."""
    paths = {"top1": TOP1, "mrr": MRR, "pre": PRE}
    scores = {
        "/".join(("trained", *paths[name])): values(mean) for name, mean in means.items() if name in paths
    }
    if "untrained" in means:
        scores["/".join(("untrained", *TOP1))] = values(means["untrained"])
    recipe = {
        "method": {"name": title, "groups": list(told)},
        "backbone": {"name": "resnet18"},
        "training": {"seed": 0, "epochs": 3, "batch_size": 4},
    }
    (found,) = contenders_of([made_up_subject(title, scores, recipe, told)])
    return found


def best(path: ScoreKey, *contenders: Contender) -> list[str]:
    row = row_of(metric_at(path), contenders)
    return [item.title for item, cell in zip(contenders, row.cells, strict=True) if cell.is_best]


def test_the_best_are_the_first_and_all_that_are_not_told_apart_from_it():
    first, near, far = contender("a", top1=0.6), contender("b", top1=0.6), contender("c", top1=0.5)
    assert best(TOP1, first, near, far) == ["a", "b"]
    assert best(TOP1, first, near) == []  # nothing is told apart, so nothing is best


def test_predictors_that_are_told_different_things_are_never_compared():
    weak, strong = contender("a", ("rotation",), mrr=0.3), contender("b", ("rotation", "color"), mrr=0.5)
    assert best(MRR, weak, strong) == []
    other = contender("c", ("rotation",), mrr=0.2)
    assert best(MRR, weak, strong, other) == ["a"]


def test_a_predictor_is_compared_with_itself_before_training():
    scores = {
        f"{network}/retrieval/val-val/mrr": values(mean)
        for network, mean in (("trained", 0.4), ("untrained", 0.2))
    }
    recipe = {"method": {"name": "sie", "groups": ["rotation"]}, "training": {"seed": 0}}
    found = contenders_of([made_up_subject("a", scores, recipe, ("rotation",))])
    everyone = [*found, *untrained_of(found)]
    assert best(MRR, *everyone) == ["a"]
    assert overview(everyone).told == ("rotation", "")


def test_lower_is_better_where_it_is():
    assert best(PRE, contender("a", ("rotation",), pre=0.4), contender("b", ("rotation",), pre=0.6)) == ["a"]


def test_cells_carry_interval_and_row_its_chance():
    row = row_of(metric_at(TOP1), [contender("a", top1=0.6), contender("b", mrr=0.3)])
    assert row.cells[0].text == "60.0%"
    assert row.cells[0].interval.startswith("[59.")
    assert row.cells[1].text == "–"
    assert row.chance == "20.0%"


def test_tables_hold_every_score_in_the_order_of_their_headings(toy_dataset):
    evaluation = made_up_evaluation(toy_dataset)
    lines = text_table(evaluation).splitlines()
    assert len([line for line in lines[1:] if line.startswith("  ")]) == len(
        evaluation.estimates_of("trained")
    )
    assert any("61.0% [60.0%, 62.0%]" in line and line.endswith("33.3%") for line in lines)
    headings = [line for line in lines[1:] if not line.startswith("  ")]
    assert headings[0] == "Classification, linear"
    assert headings[-1] == "Predictor, retrieval"
    assert len(set(headings)) == len(headings)


def test_a_score_of_an_unknown_task_or_latent_is_shown_by_its_own_name():
    metric = metric_at(ScoreKey("latents", "all", "r2_floor_hue"))
    assert metric.name == "R² of floor_hue"
    subject = made_up_subject("a", {"trained/acrobatics/all/top1": values(0.3)})
    (row,) = results_table(contenders_of([subject])).rows
    assert (row.metric.heading, row.metric.name) == ("acrobatics", "top-1")


def test_a_metric_without_a_format_is_an_error_and_not_guessed():
    evaluation = made_up_subject("a", {"trained/rotation/all/wobble": values(0.3)}).evaluation
    assert metrics_without_format(evaluation) == {"wobble"}
    with pytest.raises(IebenchError, match="'wobble' is not known"):
        text_table(evaluation)


def test_shares_lie_between_0_and_1_and_errors_are_better_when_lower():
    for name, found in METRICS.items():
        is_error = name.endswith("_error") or name.startswith(("seconds", "pre", "median", "images_encoded"))
        assert found.higher_is_better == (not is_error), name
        if found.show is percent and name != "top1_relative":
            assert found.bounds == (0, 1), name


def test_the_overview_says_what_predictors_are_told_and_the_chance_levels():
    found = overview([contender("a", ("rotation",), top1=0.6, mrr=0.3), contender("b", top1=0.5)])
    assert found.headers == ("top-1", "MRR")
    assert found.told == ("rotation", "")
    assert found.chance == ("20.0%", "0.200")


@pytest.mark.parametrize(
    ("trained", "untrained", "words"),
    [
        (
            0.5,
            0.3,
            "above the untrained network (30.0%, paired difference 20.0% [20.0%, 20.0%]) and above chance (20.0%)",
        ),
        (
            0.1,
            0.3,
            "below the untrained network (30.0%, paired difference -20.0% [-20.0%, -20.0%]) and below chance (20.0%)",
        ),
        (
            0.2,
            0.2,
            "not told apart from the untrained network (20.0%, paired difference 0.0% [0.0%, 0.0%]) and not told apart from chance (20.0%)",
        ),
    ],
)
def test_the_lead_says_no_more_than_the_intervals_do(trained: float, untrained: float, words: str):
    found = contender("a", top1=trained, untrained=untrained)
    (before,) = untrained_of([found])
    sentence = outcome_sentences(found, before)
    assert sentence.startswith("It has no predictor")
    assert f": {words}." in sentence
