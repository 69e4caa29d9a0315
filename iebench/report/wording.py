"""The sentences of the report; each says no more than its numbers do."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iebench.evaluation.results import TRAINED, UNTRAINED, EvaluatedData, Evaluation
from iebench.report.subjects import Subject, flatten
from iebench.report.tables import MISSING, VAL, Metric, metric_at
from shards.schema import DatasetIndex

METRIC_NOTES = (
    (
        "top-1, top-5",
        "A linear classifier on the frozen representation (whole, or, where a method splits it, one of its two parts) "
        "names the class of a view: how often it is right, and how often the class is among its first five.",
    ),
    (
        "Rotation and colour",
        "An MLP sees the frozen representations of two views of an object and predicts the rotation between them as "
        "a quaternion. R² is 1 for a perfect prediction, 0 for always predicting the mean, and has no lower bound; "
        "the median error is an angle. Colour is the same for two differences of hue, of the floor and of the light; "
        "light direction and position are differences of a unit vector and of a place.",
    ),
    (
        "MRR, H@k",
        "The predictor steers the embedding of an object's first view by what leads to each of its views, and "
        "the object's views are ranked by cosine similarity to the result. MRR is the mean of 1/rank of the true "
        "view; H@k is how often it is among the first k. A method without a predictor that steers embeddings has "
        "neither these nor PRE.",
    ),
    (
        "PRE",
        "Prediction retrieval error: how far, from 0 to 1, the pose of the nearest view among all objects is from "
        "the pose that was asked for. Lower is better.",
    ),
)

_MRR, _TOP1 = metric_at(("retrieval", VAL, "mrr")), metric_at(("classification", "all", "top1"))
_KEY_FIGURES = (
    ("Linear top-1", "whole representation", ("classification", "all", "top1")),
    ("Rotation R²", "equivariant part", ("rotation", "equivariant", "r2")),
    ("Rotation R²", "whole representation", ("rotation", "all", "r2")),
    ("Retrieval MRR", "steered by the predictor", ("retrieval", VAL, "mrr")),
    ("PRE", "lower is better", ("retrieval", VAL, "pre")),
)
_DIFFERENCES = 6
MANY = 4
"""Runs from which on, when there are more, the page compares them by a table rather than by sentences."""
NO_PREDICTOR = "It has no predictor that steers embeddings, so there is no MRR, H@k or PRE."


@dataclass(frozen=True)
class KeyFigure:
    """One number of the head of the page, as printed, with what it is to be compared to."""

    name: str
    detail: str
    trained: str
    untrained: str
    chance: str


def training_sentences(subject: Subject, index: DatasetIndex | None, who: str = "") -> str:
    """What was trained on what, and on what it was evaluated; ``who`` stands for the method."""
    config, evaluation = subject.config, subject.evaluation
    training = config["recipe"]["training"]
    trained = (
        f"{who or subject.method} was trained for {_epochs(subject)} in batches of "
        f"{count(training['batch_size'], 'pair')} of views"
    )
    test, fit = evaluation.test, evaluation.fit
    size = f" at {index.image_size} × {index.image_size} pixels" if index else ""
    described = f"of {count(test.classes, 'class', 'classes')}, with {count(test.views_per_object, 'view')} of each{size}"
    validation = f"{count(test.objects, 'object')}"
    if config["data"] == test.place and fit and fit.place == test.place:
        return (
            f"{trained}, on {count(fit.objects, 'object')} {described}. It was evaluated on {validation} "
            f"that it was not trained on, {count(test.objects * test.views_per_object, 'view')} in all."
        )
    return (
        f"{trained}, on the dataset {config['data']}. It was evaluated on another dataset, {test.place}: on "
        f"{validation} {described}{_fitted_to(test, fit)}."
    )


def _fitted_to(test: EvaluatedData, fit: EvaluatedData | None) -> str:
    """Where the probes of an evaluation were fitted."""
    if fit is None:
        return ", without probes"
    whose = "its training split" if fit.place == test.place else f"the training split of {fit.place}"
    return f", by probes fitted to the {count(fit.objects, 'object')} of {whose}"


def shared_training_sentences(subjects: Sequence[Subject], indices: Mapping[str, DatasetIndex | None]) -> str:
    """The same for many runs, where it is true of each; otherwise empty."""
    sentences = {training_sentences(subject, indices[subject.title], "Each") for subject in subjects}
    return sentences.pop() if len(sentences) == 1 else ""


def outcome_sentences(evaluation: Evaluation) -> str:
    """What came out: retrieval and classification against the untrained network and chance."""
    retrieval = _comparison("MRR", _MRR, evaluation) or NO_PREDICTOR
    return f"{retrieval} {_comparison('Linear top-1', _TOP1, evaluation)}"


def key_figures(evaluation: Evaluation) -> list[KeyFigure]:
    """The numbers of the head of the page, four at most, of those that the run has."""
    figures: list[KeyFigure] = []
    for name, detail, path in _KEY_FIGURES:
        metric = metric_at(path)
        trained, untrained = (
            metric.cell(metric.read(evaluation.of(network))) for network in (TRAINED, UNTRAINED)
        )
        level = metric.chance(evaluation.of(TRAINED))
        chance = "" if level is None else metric.show(level)
        if trained != MISSING and name not in {figure.name for figure in figures}:
            figures.append(KeyFigure(name, detail, trained, untrained, chance))
    return figures


def page_title(subjects: Sequence[Subject]) -> str:
    """The runs by name, or how many there are."""
    titles = [subject.title for subject in subjects]
    return enumerate_words(titles) if len(titles) <= MANY else f"{len(titles)} runs compared"


def overview_sentence(evaluation: Evaluation) -> str:
    """How the overview is to be read."""
    results = evaluation.of(TRAINED)
    levels = [
        f"{metric.show(level)} for {name}"
        for name, metric in (("top-1", _TOP1), ("MRR", _MRR))
        if (level := metric.chance(results)) is not None
    ]
    chance = f" Chance is {enumerate_words(levels)}." if levels else ""
    return (
        "Probes see the whole representation of every method. A dash stands where a method has no predictor that "
        f"steers embeddings.{chance}"
    )


def grain_sentence(evaluation: Evaluation) -> str:
    """How fine the validation split can tell numbers apart."""
    objects = evaluation.test.objects
    views = objects * evaluation.test.views_per_object
    return (
        f"Validation holds {count(views, 'view')} of {count(objects, 'object')}: one view more or less is "
        f"{1 / views:.2%} of top-1, one object {1 / objects:.2%}."
    )


def differences_sentence(subjects: Sequence[Subject]) -> str:
    """In which fields of the recipe several runs differ."""
    recipes = [
        flatten({key: value for key, value in subject.config["recipe"].items() if key != "about"})
        for subject in subjects
    ]
    names = {name: None for recipe in recipes for name in recipe}
    fields = [name for name in names if len({str(recipe.get(name)) for recipe in recipes}) > 1]
    if not fields:
        return "All have the same recipe."
    if len(subjects) > MANY:
        return f"Their recipes differ in {enumerate_words(sorted({_section(name) for name in fields}))}."
    shown = [
        f"{name} ({', '.join(str(recipe.get(name, MISSING)) for recipe in recipes)})"
        for name in fields[:_DIFFERENCES]
    ]
    if len(fields) > _DIFFERENCES:
        shown.append(f"{count(len(fields) - _DIFFERENCES, 'more field')} (see the configuration)")
    return f"Their recipes differ in {enumerate_words(shown)}."


def changed_sentence(subject: Subject, sha256: str) -> str:
    """A warning where the dataset is no longer the one of the training; empty where it is."""
    if subject.config["data"] != subject.evaluation.test.place or subject.config.get("data_sha256") == sha256:
        return ""
    return f"The dataset in {subject.evaluation.test.place} is not the one that {subject.title} was trained on: it has changed since."


def missing_sentence(place: str, reason: str) -> str:
    """Why sections about a dataset are left out; ``reason`` is empty where its folder is gone."""
    why = f"cannot be read ({reason})" if reason else "is not there any more"
    return (
        f"The dataset folder {place} {why}, so three things are left out: the retrieved views, the contact sheet, "
        "and the dataset's settings in the configuration."
    )


def left_out_sentence(missing: int, asked: int, place: str) -> str:
    """How many examples have views that are not in the dataset; empty where there is none."""
    if not missing:
        return ""
    return f"{missing} of {count(asked, 'example')} left out: the views are not in {place} any more."


def rank_in_words(rank: float, views: int, is_shown: bool) -> str:
    """The rank of the true view, with a word on it where it is not among those shown."""
    words = f"rank {rank:g} of {views}"
    return words if is_shown else f"{words}, not among the views shown"


def enumerate_words(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]])


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 view``, ``2 views``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def minus(text: str) -> str:
    """Text whose numbers have true minus signs."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def _epochs(subject: Subject) -> str:
    epochs, batch = (subject.config["recipe"]["training"][key] for key in ("epochs", "batch_size"))
    done = subject.records[-1]["epoch"] if subject.records else epochs
    fit = subject.evaluation.fit
    is_whole = epochs - done <= max(1, batch / (fit.objects if fit else 1))
    return count(epochs, "epoch") if is_whole else f"{done:.0f} of {count(epochs, 'epoch')}"


def _section(field: str) -> str:
    """The part of a recipe that a field belongs to, in words."""
    section = field.partition(".")[0]
    return "the method" if section == "method" else f"the {section} settings"


def _comparison(name: str, metric: Metric, evaluation: Evaluation) -> str:
    """Trained against untrained and chance; empty where the method has no such number."""
    trained, untrained = (metric.read(evaluation.of(network)) for network in (TRAINED, UNTRAINED))
    chance = metric.chance(evaluation.of(TRAINED))
    if trained is None or untrained is None or chance is None:
        return ""
    numbers = (
        f"{metric.show(trained)} against {metric.show(untrained)} untrained; chance is {metric.show(chance)}"
    )
    to_untrained, to_chance = (_relation(metric.show(trained), metric.show(other), trained > other)
                               for other in (untrained, chance))  # fmt: skip
    if to_untrained == to_chance:
        return f"{name} {numbers}: {to_untrained} both."
    return f"{name} {numbers}: {to_untrained} the untrained network, {to_chance} chance."


def _relation(printed: str, other: str, is_more: bool) -> str:
    if printed == other:
        return "level with"
    return "above" if is_more else "below"
