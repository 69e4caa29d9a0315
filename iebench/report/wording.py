"""Writes the sentences of the report, each of which says no more than its numbers and intervals do."""

import re
from collections.abc import Sequence

from iebench.backbones.encoder import ALL
from iebench.evaluation.results import EvaluatedData, ScoreKey
from iebench.report.contenders import Contender
from iebench.report.subjects import Subject, flatten
from iebench.report.tables import MISSING, VAL, interval_text, is_told_apart, metric_at, text_with_interval
from shards.schema import DatasetIndex

_TOP1, _MRR = ScoreKey("classification", ALL, "top1"), ScoreKey("retrieval", VAL, "mrr")
_DIFFERENCES = 6
MANY = 4
"""Largest number of contenders that the page compares by sentences rather than by tables."""


def training_sentences(subject: Subject, index: DatasetIndex | None, who: str = "") -> str:
    """Says what was trained on what, and on what it was evaluated; ``who`` replaces the method's name."""
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
    if subject.config["data"] == test.location and fit and fit.location == test.location:
        return (
            f"{trained}, on {count(fit.objects, 'object')} {described}. It was evaluated on {validation} "
            f"that it was not trained on, {count(test.objects * test.views_per_object, 'view')} in all."
        )
    return (
        f"{trained}, on the dataset {subject.config['data']}. It was evaluated on another dataset, {test.location}: on "
        f"{validation} {described}{_fitted_to(test, fit)}."
    )


def shared_training_sentences(subjects: Sequence[Subject], index: DatasetIndex | None) -> str:
    """Says the same for many runs if it is true of each; empty otherwise."""
    sentences = {training_sentences(subject, index, "Each") for subject in subjects}
    return sentences.pop() if len(sentences) == 1 else ""


def protocol_sentences(subjects: Sequence[Subject]) -> str:
    """Says how the probes were fitted, each way once."""
    ways = {
        "published": "one random view or pair of each object an epoch, features as they are",
        "thorough": "every view in each epoch, features standardized",
    }
    sentences: dict[str, list[str]] = {}
    for subject in subjects:
        settings = subject.evaluation.settings
        how = f"the {settings.protocol} protocol ({ways[settings.protocol]})"
        fit = f"{count(settings.epochs, 'epoch')} in batches of {settings.batch_size}"
        sentences.setdefault(f"follow {how} for {fit}", []).append(subject.title)
    if len(sentences) == 1:
        return f"Probes {next(iter(sentences))}."
    return " ".join(f"Those of {enumerate_words(titles)} {text}." for text, titles in sentences.items())


def outcome_sentences(contender: Contender, untrained: Contender | None) -> str:
    """Compares retrieval and classification with the untrained network and chance."""
    retrieval = _comparison("MRR", _MRR, contender, untrained)
    if not retrieval and not contender.groups:
        retrieval = "It has no predictor that steers embeddings, so there is no MRR, H@k or PRE."
    return f"{retrieval} {_comparison('Linear top-1', _TOP1, contender, untrained)}".strip()


def page_title(contenders: Sequence[Contender]) -> str:
    """Names the contenders, or says how many there are."""
    titles = list(dict.fromkeys(contender.title for contender in contenders))
    return enumerate_words(titles) if len(titles) <= MANY else f"{len(titles)} runs compared"


def grain_sentence(subject: Subject) -> str:
    """Says on how many objects everything is measured."""
    test = subject.evaluation.test
    views = test.objects * test.views_per_object
    return f"Validation holds {count(views, 'view')} of {count(test.objects, 'object')}."


def left_out_tasks(subject: Subject) -> str:
    """Says what could not be measured, with the reasons; empty if everything was."""
    items = [f"{item.task} ({item.reason})" for item in subject.evaluation.left_out]
    return f"Not measured: {'; '.join(items)}." if items else ""


def differences_sentence(subjects: Sequence[Subject]) -> str:
    """Says in which fields of the recipe several runs differ."""
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
    """Warns if the dataset is no longer the one of the training; empty if it is."""
    if (
        subject.config.get("data") != subject.evaluation.test.location
        or subject.config.get("data_sha256") == sha256
    ):
        return ""
    return f"The dataset in {subject.evaluation.test.location} is not the one that {subject.title} was trained on: it has changed since."


def missing_sentence(location: str, reason: str) -> str:
    """Says why sections about a dataset are left out; ``reason`` is empty if its folder is gone."""
    why = f"cannot be read ({reason})" if reason else "is not there any more"
    return (
        f"The dataset folder {location} {why}, so three things are left out: the retrieved views and neighbors, the contact "
        "sheet, and the dataset's settings in the configuration."
    )


def no_checkpoint_sentence(titles: Sequence[str]) -> str:
    """Says why nothing is shown of what some runs retrieve; empty if there are no such runs."""
    if not titles:
        return ""
    what = "has no checkpoint" if len(titles) == 1 else "have no checkpoints"
    return f"{enumerate_words(titles)} {what} any more, so the page cannot show in pictures what was learned there."


def part_name(part: str) -> str:
    """Names a part of the representation."""
    return "whole representation" if part == ALL else f"{part.replace('_', ' ')} part"


def enumerate_words(words: Sequence[str]) -> str:
    """Joins words as in ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]])


def count(number: int, noun: str, plural: str = "") -> str:
    """Counts a noun, as in ``1 view``, ``2 views``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def minus(text: str) -> str:
    """Replaces hyphens before numbers by true minus signs."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def _fitted_to(test: EvaluatedData, fit: EvaluatedData | None) -> str:
    """Says to which split the probes of an evaluation were fitted."""
    if fit is None:
        return ", without probes"
    whose = "its training split" if fit.location == test.location else f"the training split of {fit.location}"
    return f", by probes fitted to the {count(fit.objects, 'object')} of {whose}"


def _epochs(subject: Subject) -> str:
    epochs, batch = (subject.recipe["training"][key] for key in ("epochs", "batch_size"))
    done = subject.records[-1]["epoch"] if subject.records else epochs
    fit = subject.evaluation.fit
    is_whole = epochs - done <= max(1, batch / (fit.objects if fit else 1))
    return count(epochs, "epoch") if is_whole else f"{done:.0f} of {count(epochs, 'epoch')}"


def _section(field: str) -> str:
    """Names the section of a recipe that a field belongs to, in words."""
    section = field.partition(".")[0]
    return "the method" if section == "method" else f"the {section} settings"


def _comparison(name: str, path: ScoreKey, contender: Contender, untrained: Contender | None) -> str:
    """Compares one number with the untrained network and chance; empty if the method has no such number."""
    metric, summary = metric_at(path), contender.summary(path)
    if summary is None:
        return ""
    sentence = f"{name} is {text_with_interval(metric, summary.mean, summary)}"
    relations = []
    before = untrained.summary(path) if untrained else None
    if untrained and before:
        is_apart = is_told_apart(contender, untrained, metric, summary, before)
        paired = contender.difference(untrained, path)
        difference = ""
        if paired and interval_text(metric, paired):
            difference = f", paired difference {text_with_interval(metric, paired.value, paired)}"
        relations.append(
            f"{_relation(is_apart, summary.mean > before.mean)} the untrained network ({metric.show(before.mean)}{difference})"
        )
    if summary.chance is not None:
        low, high = summary.low, summary.high
        is_apart = low is not None and high is not None and not low <= summary.chance <= high
        relations.append(
            f"{_relation(is_apart, summary.mean > summary.chance)} chance ({metric.show(summary.chance)})"
        )
    return f"{sentence}: {enumerate_words(relations)}." if relations else f"{sentence}."


def _relation(is_apart: bool, is_more: bool) -> str:
    if not is_apart:
        return "not told apart from"
    return "above" if is_more else "below"
