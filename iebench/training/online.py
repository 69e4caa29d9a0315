"""Online evaluation: small heads that learn beside a training, so that one sees early what it comes to.

They read detached representations and embeddings, so nothing of the method's networks depends on them.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from iebench.evaluation.scores import batch_r2
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import classification_loss, regression_loss
from iebench.methods.parts.projectors import mlp

Views = tuple[Tensor, ...]
"""Something of each view of a batch of draws, (batch, dimension) each."""


class OnlineConfig(BaseModel):
    """The heads that learn beside a training."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    lr: float = Field(default=1e-3, gt=0, description="constant, with Adam")
    hidden_width: int = Field(default=256, ge=1, description="of the MLP that regresses rotations")


class Reading(NamedTuple):
    """What the heads made of a batch: the loss they learn by, and their scores."""

    loss: Tensor
    scores: dict[str, Tensor]


class OnlineEvaluation(nn.Module):
    """For each of several spaces, a linear classifier of views and a rotation head on the first two views.

    Args:
        dimensions: Widths of the spaces by name, such as ``representation`` and ``embedding``.
        classes: Number of classes of the dataset.
        config: sizes.
        rotation_dimension: numbers of the regressed rotation; 0 where views have no rotation.
    """

    def __init__(
        self, dimensions: Mapping[str, int], classes: int, config: OnlineConfig, rotation_dimension: int
    ) -> None:
        super().__init__()
        self.classifiers = nn.ModuleDict(
            {name: nn.Linear(dimension, classes) for name, dimension in dimensions.items()}
        )
        self.regressors = nn.ModuleDict(
            {
                name: mlp((2 * dimension, config.hidden_width, config.hidden_width, rotation_dimension))
                for name, dimension in dimensions.items()
                if rotation_dimension
            }
        )

    def forward(self, spaces: Mapping[str, Views], labels: Tensor, rotation: Tensor | None) -> Reading:
        """The heads' loss on this process's share of a batch, and how right they are on all of it.

        Args:
            spaces: the views by the name of the space; gradients end here.
            labels: (batch,) classes.
            rotation: (batch, rotation dimension) from the first views to the second; None where views have none.
        """
        losses, scores = [], {}
        watched: list[Tensor] = [] if rotation is None else [rotation]
        for name, views in spaces.items():
            logits = self.classifiers[name](torch.cat(views).detach())
            repeated = labels.repeat(len(views))
            losses.append(classification_loss(logits, repeated))
            is_right = (logits.detach().argmax(dim=1) == repeated).float()
            watched.append(is_right.view(len(views), -1).T)
            if rotation is not None:
                regressed = self.regressors[name](torch.cat(views[:2], dim=1).detach())
                losses.append(regression_loss(regressed, rotation))
                watched.append(regressed.detach())
        gathered = iter(gather_each(*watched))
        true = None if rotation is None else next(gathered)
        for name in spaces:
            scores[f"online_{name}_top1"] = next(gathered).mean()
            if true is not None:
                scores[f"online_{name}_rotation_r2"] = batch_r2(next(gathered), true)
        return Reading(torch.stack(losses).sum(), scores)


@torch.no_grad()
def collapse_statistics(spaces: Mapping[str, Views]) -> dict[str, float]:
    """How far each space is from collapse: mean standard deviation, and mean absolute correlation of dimensions.

    Deviations near 0 tell that all views become one; correlations near 1, that all dimensions do.

    Args:
        spaces: the views by the name of the space.
    """
    statistics = {}
    for name, views in spaces.items():
        rows = torch.cat(views).float()
        deviation = rows.std(dim=0)
        standardised = (rows - rows.mean(dim=0)) / deviation.clamp(min=1e-6)
        correlation = (standardised.T @ standardised / (len(rows) - 1)).abs()
        dimension = len(correlation)
        off_diagonal = correlation.sum() - correlation.diagonal().sum()
        statistics[f"{name}_std"] = deviation.mean().item()
        statistics[f"{name}_correlation"] = (off_diagonal / max(1, dimension * (dimension - 1))).item()
    return statistics
