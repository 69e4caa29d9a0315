"""The sentences of the report; each says no more than its numbers and their intervals do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from iebench.evaluation.results import EvaluatedData
from iebench.report.contenders import Contender, ScorePath
from iebench.report.leaderboard_files import R2_NOTE, TOLD_NOTE
from iebench.report.subjects import Subject, flatten
from iebench.report.tables import MISSING, VAL, WHOLE, interval_text, is_told_apart, metric_at
from shards.schema import DatasetIndex

__all__ = ["R2_NOTE", "TOLD_NOTE"]

METRIC_NOTES = (
    (
        "Intervals",
        "In brackets: the 95 % interval by bootstrap over objects, since views of one object are not independent. Runs "
        "that differ only in their seed are one row: mean, interval over objects and seeds, and standard deviation (sd) "
        "over seeds. Bold are the best and whatever the paired difference on the same objects does not tell apart from "
        "it; where nothing is told apart, nothing is bold.",
    ),
    (
        "Classification",
        "A linear classifier on the frozen representation (whole, or one of its parts) names the class of a view. Chance "
        "is always naming the training split’s largest class; for the mean over classes, 1 over their number.",
    ),
    (
        "R² of rotation, colour, light, position",
        "A probe sees the frozen representations of two views of an object (or of one: “single view”) and predicts what "
        "lies between them; rotation is a quaternion. R² is the published one, pooled over components: a constant "
        "prediction scores its chance level. R² per component is the mean of each component’s own; there a constant "
        "scores 0. Neither has a lower bound.",
    ),
    (
        "MRR, H@k, PRE",
        "The predictor steers the embedding of an object’s first view towards each of its views, and the object’s views "
        "are ranked by cosine similarity to the result: MRR is the mean of 1/rank of the true view, H@k how often it is "
        "among the first k. PRE is the rotation error, from 0 to 1, of the nearest view among all objects; its chance "
        "level is that of always answering with the pose nearest to no rotation. Predictors that are told different "
        "things are not compared.",
    ),
)

_TOP1, _MRR = ("classification", WHOLE, "top1"), ("retrieval", VAL, "mrr")
_KEY_FIGURES = (
    ("Linear top-1", "whole representation", _TOP1),
    ("Rotation R²", "equivariant part", ("rotation", "equivariant", "r2")),
    ("Rotation R²", "whole representation", ("rotation", WHOLE, "r2")),
    ("Retrieval MRR", "steered by the predictor", _MRR),
    ("PRE", "lower is better", ("retrieval", VAL, "pre")),
)
_DIFFERENCES = 6
MANY = 4
"""Contenders from which on, when there are more, the page compares them by tables rather than by sentences."""
NO_PREDICTOR = "It has no predictor that steers embeddings, so there is no MRR, H@k or PRE."


@dataclass(frozen=True)
class KeyFigure:
    """One number of the head of the page, as printed, with what it is to be compared to."""

    name: str
    detail: str
    value: str
    interval: str
    untrained: str
    chance: str


def training_sentences(subject: Subject, index: DatasetIndex | None, who: str = "") -> str:
    """What was trained on what, and on what it was evaluated; ``who`` stands for the method."""
    test, fit = subject.evaluation.test, subject.evaluation.fit
    size = f" at {index.image_size} × {index.image_size} pixels" if index else ""
    described = f"of {count(test.classes, 'class', 'classes')}, with {count(test.views_per_object, 'view')} of each{size}"
    validation = count(test.objects, "object")
    if not subject.recipe:
        return f"{subject.method} was evaluated on {validation} {described}{_fitted_to(test, fit)}."
    trained = (
        f"{who or subject.method} was trained for {_epochs(subject)} in batches of "
        f"{count(subject.recipe['training']['batch_size'], 'pair')} of views"
    )
    if subject.config["data"] == test.place and fit and fit.place == test.place:
        return (
            f"{trained}, on {count(fit.objects, 'object')} {described}. It was evaluated on {validation} "
            f"that it was not trained on, {count(test.objects * test.views_per_object, 'view')} in all."
        )
    return (
        f"{trained}, on the dataset {subject.config['data']}. It was evaluated on another dataset, {test.place}: on "
        f"{validation} {described}{_fitted_to(test, fit)}."
    )


def shared_training_sentences(subjects: Sequence[Subject], index: DatasetIndex | None) -> str:
    """The same for many runs, where it is true of each; otherwise empty."""
    sentences = {training_sentences(subject, index, "Each") for subject in subjects}
    return sentences.pop() if len(sentences) == 1 else ""


def protocol_sentence(subject: Subject) -> str:
    """How the probes were fitted."""
    settings = subject.evaluation.settings
    how = {
        "published": "one random view or pair of each object an epoch, features as they are",
        "thorough": "every view in each epoch, features standardized",
    }[settings.protocol]
    return (
        f"Probes follow the {settings.protocol} protocol ({how}) for {count(settings.epochs, 'epoch')} in batches of "
        f"{settings.batch_size}."
    )


def outcome_sentences(contender: Contender, untrained: Contender | None) -> str:
    """What came out: retrieval and classification against the untrained network and chance."""
    retrieval = _comparison("MRR", _MRR, contender, untrained)
    if not retrieval and not contender.groups:
        retrieval = NO_PREDICTOR
    return f"{retrieval} {_comparison('Linear top-1', _TOP1, contender, untrained)}".strip()


def key_figures(contender: Contender, untrained: Contender | None) -> list[KeyFigure]:
    """The numbers of the head of the page, four at most, of those that the run has."""
    figures: list[KeyFigure] = []
    for name, detail, path in _KEY_FIGURES:
        metric, summary = metric_at(path), contender.summary(path)
        before = untrained.summary(path) if untrained else None
        if summary and name not in {figure.name for figure in figures}:
            chance = "" if summary.chance is None else metric.show(summary.chance)
            was = metric.show(before.mean) if before else ""
            figures.append(
                KeyFigure(
                    name, detail, metric.show(summary.mean), interval_text(metric, summary), was, chance
                )
            )
    return figures


def page_title(contenders: Sequence[Contender]) -> str:
    """The contenders by name, or how many there are."""
    titles = list(dict.fromkeys(contender.title for contender in contenders))
    return enumerate_words(titles) if len(titles) <= MANY else f"{len(titles)} runs compared"


def grain_sentence(subject: Subject) -> str:
    """How many objects everything is measured on."""
    test = subject.evaluation.test
    views = test.objects * test.views_per_object
    return f"Validation holds {count(views, 'view')} of {count(test.objects, 'object')}."


def left_out_tasks(subject: Subject) -> str:
    """What could not be measured, with the reasons; empty where all was."""
    items = [f"{item.task} ({item.reason})" for item in subject.evaluation.left_out]
    return f"Not measured: {'; '.join(items)}." if items else ""


def differences_sentence(subjects: Sequence[Subject]) -> str:
    """In which fields of the recipe several runs differ."""
    subjects = [subject for subject in subjects if subject.recipe]
    recipes = [
        flatten({key: value for key, value in subject.recipe.items() if key != "about"})
        for subject in subjects
    ]
    names = {name: None for recipe in recipes for name in recipe}
    fields = [name for name in names if len({str(recipe.get(name)) for recipe in recipes}) > 1]
    if len(recipes) < 2:
        return ""
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
    if (
        subject.config.get("data") != subject.evaluation.test.place
        or subject.config.get("data_sha256") == sha256
    ):
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


def _fitted_to(test: EvaluatedData, fit: EvaluatedData | None) -> str:
    """Where the probes of an evaluation were fitted."""
    if fit is None:
        return ", without probes"
    whose = "its training split" if fit.place == test.place else f"the training split of {fit.place}"
    return f", by probes fitted to the {count(fit.objects, 'object')} of {whose}"


def _epochs(subject: Subject) -> str:
    epochs, batch = (subject.recipe["training"][key] for key in ("epochs", "batch_size"))
    done = subject.records[-1]["epoch"] if subject.records else epochs
    fit = subject.evaluation.fit
    is_whole = epochs - done <= max(1, batch / (fit.objects if fit else 1))
    return count(epochs, "epoch") if is_whole else f"{done:.0f} of {count(epochs, 'epoch')}"


def _section(field: str) -> str:
    """The part of a recipe that a field belongs to, in words."""
    section = field.partition(".")[0]
    return "the method" if section == "method" else f"the {section} settings"


def _comparison(name: str, path: ScorePath, contender: Contender, untrained: Contender | None) -> str:
    """One number against the untrained network and chance; empty where the method has no such number."""
    metric, summary = metric_at(path), contender.summary(path)
    if summary is None:
        return ""
    sentence = f"{name} is {metric.show(summary.mean)} {interval_text(metric, summary)}".rstrip()
    relations = []
    before = untrained.summary(path) if untrained else None
    if untrained and before:
        is_apart = is_told_apart(contender, untrained, metric, summary, before)
        relations.append(
            f"{_relation(is_apart, summary.mean > before.mean)} the untrained network ({metric.show(before.mean)})"
        )
    if summary.chance is not None:
        is_apart = summary.low is not None and summary.high is not None
        is_apart = is_apart and not (summary.low or 0) <= summary.chance <= (summary.high or 0)
        relations.append(
            f"{_relation(is_apart, summary.mean > summary.chance)} chance ({metric.show(summary.chance)})"
        )
    return f"{sentence}: {enumerate_words(relations)}." if relations else f"{sentence}."


def _relation(is_apart: bool, is_more: bool) -> str:
    if not is_apart:
        return "not told apart from"
    return "above" if is_more else "below"
