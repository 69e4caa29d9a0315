"""Chooses what a page shows in pictures, by rules that it states: retrieval by predictors, and neighbors by part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from iebench.backbones.encoder import ALL, Encoder
from iebench.evaluation.intervals import Estimate, PerObject
from iebench.evaluation.predictor_scores import PredictorSpace, predictor_tasks_left_out
from iebench.report.sample import Sample, angles_between, nearest_of_others, represent, spread

Why = Literal["typical", "best", "worst"]
_Asked = tuple[float, float, int, int]  # rank, turn, object, view

EXTREMES = 3
"""Number of best questions that are shown, and of worst ones."""
QUERIES = 4
"""Number of views whose neighbors are shown."""


@dataclass(frozen=True)
class Question:
    """A retrieval question: from the first view of object ``owner`` to its view ``target``, and why it is shown."""

    owner: int
    target: int
    why: Why


@dataclass(frozen=True)
class Ranking:
    """A predictor's ranking of the views of each object.

    Attributes:
        groups: Groups of transformations that the predictor is told.
        ranks: Rank (objects, views) float64 of each view as the target; 1 is best.
        ranked: First views (objects, views, first) int64 of each ranking.
    """

    title: str
    groups: tuple[str, ...]
    ranks: Tensor
    ranked: Tensor


@dataclass(frozen=True)
class Neighborhood:
    """The nearest views of other objects by one part of a representation.

    Attributes:
        nearest: Rows (views, neighbors) int64 of the sample.
        same_class: Share of the neighbors that are of the view's class; chance is that of a random view.
        angle: Mean angle to the neighbors' poses in degrees; chance is that of a random view. None without poses.
    """

    title: str
    part: str
    nearest: Tensor
    same_class: Estimate
    angle: Estimate | None


@dataclass(frozen=True)
class Showcase:
    """Everything that is shown in pictures.

    Attributes:
        rankings: Rankings, one for each run that has a predictor.
        questions: Questions to show, chosen by the first ranking.
        neighborhoods: Neighborhoods of each run in order, and of its parts.
        queries: Rows of the views whose neighbors are shown.
    """

    sample: Sample
    rankings: list[Ranking]
    questions: list[Question]
    neighborhoods: list[Neighborhood]
    queries: list[int]

    def owners(self) -> list[int]:
        """Numbers of all objects of which a view is shown, in ascending order."""
        shown = {question.owner for question in self.questions}
        rows = torch.tensor(self.queries, dtype=torch.int64)
        for item in self.neighborhoods:
            shown |= set(self.sample.owners[item.nearest[rows]].flatten().tolist())
        return sorted(shown | set(self.sample.owners[rows].tolist()))


@torch.inference_mode()
def build_showcase(sample: Sample, encoders: Sequence[tuple[str, Encoder]]) -> Showcase:
    """Passes the sample through every encoder and chooses what is shown.

    The first encoder that has a predictor decides which questions are shown.
    """
    images = sample.images()
    rankings, neighborhoods = [], []
    for title, encoder in encoders:
        representations = represent(encoder, images)
        if ranking := rank_sample(title, encoder, sample, representations):
            rankings.append(ranking)
        names = [name for name in encoder.parts if name != ALL] or [ALL]
        for name in names if sample.objects > 1 else ():
            start, stop = encoder.parts[name]
            neighborhoods.append(neighborhood(title, name, sample, representations[:, start:stop]))
    questions = choose_questions(rankings[0].ranks, sample) if rankings else []
    return Showcase(sample, rankings, questions, neighborhoods, choose_queries(sample))


def rank_sample(title: str, encoder: Encoder, sample: Sample, representations: Tensor) -> Ranking | None:
    """Ranks the views of each object as an evaluation does; None without a predictor that can be asked."""
    predictor = encoder.predictor
    names = [latent.name for latent in sample.index.latents]
    if predictor is None or sample.views_per_object < 2:
        return None
    if any(item.task == "retrieval" for item in predictor_tasks_left_out(predictor, names, 2)):
        return None
    features = sample.features(representations)
    ranks, ranked = PredictorSpace(predictor, features, names, torch.device("cpu")).rank()
    return Ranking(title, tuple(predictor.groups), ranks, ranked)


def choose_questions(ranks: Tensor, sample: Sample) -> list[Question]:
    """Chooses the best and the worst questions, and the one in the middle of each class.

    The best have the lowest rank and, among equals, the largest turn; the worst the highest rank and the smallest
    turn. Both are of different classes. Of each class the question of median rank is typical. Questions start at the
    first view of each object; the ranks (objects, views) are those of the targets.
    """
    poses = sample.poses.unflatten(0, ranks.shape)
    turns = angles_between(poses[:, :1], poses)
    asked = [
        (ranks[owner, target].item(), turns[owner, target].item(), owner, target)
        for owner in range(sample.objects)
        for target in range(1, sample.views_per_object)
    ]
    labels = sample.labels.tolist()
    best = _of_different_classes(sorted(asked, key=lambda item: (item[0], -item[1])), labels)
    worst = _of_different_classes(sorted(asked, key=lambda item: (-item[0], item[1])), labels)
    chosen = [Question(owner, target, "best") for _, _, owner, target in best]
    chosen += [Question(owner, target, "worst") for _, _, owner, target in worst]
    for label in dict.fromkeys(labels):
        of_class = sorted(item for item in asked if labels[item[2]] == label)
        _, _, owner, target = of_class[(len(of_class) - 1) // 2]
        chosen.append(Question(owner, target, "typical"))
    return chosen


def choose_queries(sample: Sample) -> list[int]:
    """Chooses the first view of the first object of some classes, evenly spaced, and returns the rows."""
    labels = sample.labels.tolist()
    firsts = [labels.index(label) * sample.views_per_object for label in dict.fromkeys(labels)]
    return spread(firsts, QUERIES)


def neighborhood(title: str, part: str, sample: Sample, vectors: Tensor) -> Neighborhood:
    """Finds the neighbors of every view by the columns (views, width) of one part, and measures how alike they are."""
    nearest = nearest_of_others(vectors, sample.owners)
    labels = sample.labels[sample.owners]
    is_same = (labels[nearest] == labels[:, None]).double()
    is_other = sample.owners[:, None] != sample.owners[None, :]
    same_by_chance = (labels[:, None] == labels[None, :])[is_other].double().mean().item()
    angle = None
    if sample.has_poses:
        angles = angles_between(sample.poses[:, None], sample.poses[nearest])
        by_chance = angles_between(sample.poses[:, None], sample.poses[None, :])[is_other].mean().item()
        angle = _estimate(angles, sample, by_chance)
    return Neighborhood(title, part, nearest, _estimate(is_same, sample, same_by_chance), angle)


def _estimate(values: Tensor, sample: Sample, chance: float) -> Estimate:
    """Computes the mean of values (views, neighbors), with its interval over objects."""
    by_object = values.mean(dim=1).unflatten(0, (sample.objects, sample.views_per_object))
    return PerObject.mean_of(by_object.numpy(), chance).estimate()


def _of_different_classes(asked: Sequence[_Asked], labels: Sequence[int]) -> list[_Asked]:
    """Keeps the first question of each class, as many as are shown."""
    found: dict[int, _Asked] = {}
    for item in asked:
        found.setdefault(labels[item[2]], item)
    return list(found.values())[:EXTREMES]
