"""Prepares the pictures of a showcase for the page: questions with answers, neighbors, the contact sheet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from iebench.backbones.encoder import ALL
from iebench.evaluation.intervals import Estimate
from iebench.report import wording
from iebench.report.metrics import degrees, percent
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


@dataclass(frozen=True)
class Answer:
    """The views that one run retrieved for a question, best first."""

    title: str
    rank: str
    retrieved: list[ShownView]


@dataclass(frozen=True)
class Example:
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


@dataclass(frozen=True)
class Neighbor:
    """One view that lies near another.

    Attributes:
        picture: Picture of the view.
        class_name: Name of the view's class.
        is_alike: Whether the class is the same; for an equivariant part, whether the pose is within ``SAME_POSE``.
        angle: Angle between the poses; empty if they are unknown.
    """

    picture: ShownView
    class_name: str
    is_alike: bool
    angle: str


@dataclass(frozen=True)
class NeighborRow:
    """The nearest views by one part of one run's representation."""

    title: str
    part: str
    neighbors: list[Neighbor]


@dataclass(frozen=True)
class Query:
    """A view with its nearest views by every part."""

    class_name: str
    object: str
    picture: ShownView
    rows: list[NeighborRow]


@dataclass(frozen=True)
class Likeness:
    """The printed similarity of views to their neighbors by one part, over the whole sample."""

    title: str
    part: str
    same_class: str
    same_class_interval: str
    angle: str
    angle_interval: str


@dataclass(frozen=True)
class SheetRow:
    """One object of the contact sheet."""

    class_name: str
    object: str
    pictures: list[ShownView]


@dataclass(frozen=True)
class ShowcasePictures:
    """All pictures about one dataset.

    Attributes:
        objects: Number of objects in the sample.
        views: Number of views of each object.
        examples: Retrieval questions: the best, the worst, and a typical one of each class.
        queries: Views with their neighbors.
        likeness: Similarity of neighbors, a row for each part of each run.
        same_class_by_chance: Share of views of other objects that are of a random view's class.
        angle_by_chance: Mean angle to a random view; empty if poses are unknown.
        sheet: Rows of the contact sheet, by label.
    """

    objects: int
    views: int
    examples: list[Example]
    queries: list[Query]
    likeness: list[Likeness]
    same_class_by_chance: str
    angle_by_chance: str
    sheet: list[SheetRow]

    def examples_by(self, *rules: Why) -> list[Example]:
        """Returns the examples that were chosen by one of the given rules."""
        return [example for example in self.examples if example.why in rules]


class Frames:
    """Makes pictures of the views of a sample, from larger views if they are given.

    Args:
        sample: Sample of views.
        larger: Views at a larger size, by name; others are shown as they are in the sample.
    """

    def __init__(self, sample: Sample, larger: Mapping[ViewName, View]) -> None:
        self.sample = sample
        self._larger = larger

    def picture(self, row: int) -> ShownView:
        """Returns the picture of a view of the sample."""
        view = self.sample.views[row]
        name = self.sample.class_name(view.metadata.label)
        return picture(self._larger.get(name_of(view), view), self.sample.index, name)

    def row(self, owner: int, view: int) -> int:
        """Returns the row of a view of the object with number ``owner``."""
        return owner * self.sample.views_per_object + view


def prepare_pictures(showcase: Showcase, larger: Mapping[ViewName, View]) -> ShowcasePictures:
    """Prepares all pictures for the page.

    Args:
        showcase: Choice of views and answers to show.
        larger: Views at a larger size, by name; others are shown as they are in the dataset.
    """
    frames = Frames(showcase.sample, larger)
    first = next(iter(showcase.neighborhoods), None)
    return ShowcasePictures(
        showcase.sample.objects,
        showcase.sample.views_per_object,
        [_example(question, showcase.rankings, frames) for question in showcase.questions],
        [_query(row, showcase.neighborhoods, frames) for row in showcase.queries if first],
        [_likeness(item) for item in showcase.neighborhoods],
        percent(first.same_class.chance or 0) if first else "",
        degrees(first.angle.chance or 0) if first and first.angle else "",
        _sheet(showcase, frames),
    )


def _example(question: Question, rankings: Sequence[Ranking], frames: Frames) -> Example:
    sample, owner = frames.sample, question.owner
    rows = frames.row(owner, 0), frames.row(owner, question.target)
    source, target = (sample.views[row] for row in rows)
    groups = list(dict.fromkeys(group for ranking in rankings for group in ranking.groups))
    angle, axis = rotation_in_words(source, target, sample.index) if "rotation" in groups else ("", "")
    answers = []
    for ranking in rankings:
        found = ranking.ranked[owner, question.target].tolist()
        rank = ranking.ranks[owner, question.target].item()
        words = wording.rank_in_words(rank, sample.views_per_object, question.target in found)
        is_alike = set(ranking.groups) == set(groups)
        title = ranking.title if is_alike else f"{ranking.title}, told {' and '.join(ranking.groups)}"
        answers.append(Answer(title, words, [frames.picture(frames.row(owner, view)) for view in found]))
    return Example(
        question.why,
        sample.class_name(source.metadata.label),
        source.metadata.object,
        frames.picture(rows[0]),
        frames.picture(rows[1]),
        angle,
        axis,
        changes_in_words(source, target, sample.index, groups),
        answers,
    )


def _query(row: int, neighborhoods: Sequence[Neighborhood], frames: Frames) -> Query:
    sample = frames.sample
    view = sample.views[row]
    rows = []
    for item in neighborhoods:
        nearest = item.nearest[row]
        neighbors = [_neighbor(row, other, item.part, frames) for other in nearest.tolist()]
        rows.append(NeighborRow(item.title, _part(item.part), neighbors))
    return Query(sample.class_name(view.metadata.label), view.metadata.object, frames.picture(row), rows)


def _neighbor(row: int, other: int, part: str, frames: Frames) -> Neighbor:
    """Describes a view that lies near another."""
    sample = frames.sample
    label, found = (sample.views[number].metadata.label for number in (row, other))
    is_alike, words = found == label, ""
    if sample.has_poses:
        angle = angles_between(sample.poses[row], sample.poses[other]).item()
        is_alike, words = angle < SAME_POSE if part == "equivariant" else is_alike, f"{angle:.0f}°"
    return Neighbor(frames.picture(other), sample.class_name(found), is_alike, words)


def _likeness(item: Neighborhood) -> Likeness:
    return Likeness(
        item.title,
        _part(item.part),
        percent(item.same_class.value or 0),
        _interval(item.same_class, percent),
        degrees(item.angle.value or 0) if item.angle else "",
        _interval(item.angle, degrees) if item.angle else "",
    )


def _interval(estimate: Estimate, show: Callable[[float], str]) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{show(estimate.low)}, {show(estimate.high)}]"


def _part(name: str) -> str:
    return "whole representation" if name == ALL else f"{name.replace('_', ' ')} part"


def _sheet(showcase: Showcase, frames: Frames) -> list[SheetRow]:
    """Chooses an object of each class: that of the typical question, whose larger views exist, or the first."""
    sample = showcase.sample
    labels = sample.labels.tolist()
    chosen = {label: labels.index(label) for label in dict.fromkeys(labels)}
    chosen |= {labels[item.owner]: item.owner for item in showcase.questions if item.why == "typical"}
    columns = min(SHEET_COLUMNS, sample.views_per_object)
    rows = []
    for owner in spread(list(chosen.values()), SHEET_ROWS):
        pictures = [frames.picture(frames.row(owner, view)) for view in range(columns)]
        rows.append(SheetRow(sample.class_name(labels[owner]), sample.names[owner][1], pictures))
    return rows
