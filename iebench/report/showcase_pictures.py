"""Prepares the pictures of a showcase for the page: questions with answers, neighbors, the contact sheet."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from iebench.report import wording
from iebench.report.sample import Sample, angles_between, spread
from iebench.report.showcase import Neighborhood, Question, Ranking, Showcase, Why
from iebench.report.shown_views import (
    ShownView,
    ViewName,
    changes_in_words,
    name_of,
    picture,
    rotation_in_words,
)
from shards.reader import View

SHEET_ROWS = 12
SHEET_COLUMNS = 8
SAME_POSE = 45
"""Largest angle in degrees between two poses that count as alike."""


class Answer(NamedTuple):
    """The views that one run retrieved for a question, best first."""

    title: str
    rank: str
    retrieved: list[ShownView]


class Example(NamedTuple):
    """A question with its pictures, and the answer of each run."""

    why: Why
    class_name: str
    object: str
    source: ShownView
    target: ShownView
    angle: str
    axis: str
    changes: str
    answers: list[Answer]


class Neighbor(NamedTuple):
    """One view that lies near another.

    Attributes:
        is_alike: Whether the class is the same; for an equivariant part, whether the pose is within ``SAME_POSE``.
        angle: Angle between the poses; empty if they are unknown.
    """

    picture: ShownView
    class_name: str
    is_alike: bool
    angle: str


class NeighborRow(NamedTuple):
    """The nearest views by one part of one run's representation."""

    title: str
    part: str
    neighbors: list[Neighbor]


class Query(NamedTuple):
    """A view with its nearest views by every part."""

    class_name: str
    object: str
    picture: ShownView
    rows: list[NeighborRow]


class SheetRow(NamedTuple):
    """One object of the contact sheet."""

    class_name: str
    object: str
    pictures: list[ShownView]


class ShowcasePictures(NamedTuple):
    """All pictures about one dataset.

    Attributes:
        objects: Number of objects in the sample.
        views: Number of views of each object.
        examples: Retrieval questions: the best, the worst, and a typical one of each class.
        queries: Views with their neighbors.
        neighborhoods: Similarity of neighbors, for each part of each run.
        sheet: Rows of the contact sheet, by label.
    """

    objects: int
    views: int
    examples: list[Example]
    queries: list[Query]
    neighborhoods: list[Neighborhood]
    sheet: list[SheetRow]


Show = Callable[[int], ShownView]
"""A function that makes the picture of a view, given by its row in the sample."""


def prepare_pictures(showcase: Showcase, larger: Mapping[ViewName, View]) -> ShowcasePictures:
    """Prepares all pictures for the page, of larger views where there are some."""
    sample = showcase.sample

    def show(row: int) -> ShownView:
        view = sample.views[row]
        class_name = sample.class_name(view.metadata.label)
        return picture(larger.get(name_of(view), view), sample.index, class_name)

    queries = showcase.queries if showcase.neighborhoods else []
    return ShowcasePictures(
        sample.objects,
        sample.views_per_object,
        [_example(question, showcase.rankings, sample, show) for question in showcase.questions],
        [_query(row, showcase.neighborhoods, sample, show) for row in queries],
        showcase.neighborhoods,
        _sheet(showcase, show),
    )


def _example(question: Question, rankings: Sequence[Ranking], sample: Sample, show: Show) -> Example:
    owner, first = question.owner, question.owner * sample.views_per_object
    source, target = sample.views[first], sample.views[first + question.target]
    groups = list(dict.fromkeys(group for ranking in rankings for group in ranking.groups))
    angle, axis = rotation_in_words(source, target, sample.index) if "rotation" in groups else ("", "")
    answers = []
    for ranking in rankings:
        found = ranking.ranked[owner, question.target].tolist()
        rank = f"rank {ranking.ranks[owner, question.target].item():g} of {sample.views_per_object}"
        if question.target not in found:
            rank += ", not among the views shown"
        is_alike = set(ranking.groups) == set(groups)
        title = ranking.title if is_alike else f"{ranking.title}, told {' and '.join(ranking.groups)}"
        answers.append(Answer(title, rank, [show(first + view) for view in found]))
    return Example(
        question.why,
        sample.class_name(source.metadata.label),
        source.metadata.object,
        show(first),
        show(first + question.target),
        angle,
        axis,
        changes_in_words(source, target, sample.index, groups),
        answers,
    )


def _query(row: int, neighborhoods: Sequence[Neighborhood], sample: Sample, show: Show) -> Query:
    metadata = sample.views[row].metadata
    rows = []
    for item in neighborhoods:
        neighbors = [_neighbor(row, other, item.part, sample, show) for other in item.nearest[row].tolist()]
        rows.append(NeighborRow(item.title, wording.part_name(item.part), neighbors))
    return Query(sample.class_name(metadata.label), metadata.object, show(row), rows)


def _neighbor(row: int, other: int, part: str, sample: Sample, show: Show) -> Neighbor:
    label, found = (sample.views[number].metadata.label for number in (row, other))
    is_alike, words = found == label, ""
    if sample.has_poses:
        angle = angles_between(sample.poses[row], sample.poses[other]).item()
        is_alike, words = angle < SAME_POSE if part == "equivariant" else is_alike, f"{angle:.0f}°"
    return Neighbor(show(other), sample.class_name(found), is_alike, words)


def _sheet(showcase: Showcase, show: Show) -> list[SheetRow]:
    """Chooses an object of each class: that of the typical question, whose larger views exist, or the first."""
    sample = showcase.sample
    labels = sample.labels.tolist()
    chosen = {label: labels.index(label) for label in dict.fromkeys(labels)}
    chosen |= {labels[item.owner]: item.owner for item in showcase.questions if item.why == "typical"}
    columns = min(SHEET_COLUMNS, sample.views_per_object)
    rows = []
    for owner in spread(list(chosen.values()), SHEET_ROWS):
        pictures = [show(owner * sample.views_per_object + view) for view in range(columns)]
        rows.append(SheetRow(sample.class_name(labels[owner]), sample.names[owner][1], pictures))
    return rows
