"""Online heads: small probes that learn while a method trains, and change nothing in it."""

from collections.abc import Mapping

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from iebench.evaluation.scores import batch_r2
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import classification_loss, regression_loss
from iebench.methods.parts.projectors import mlp

Views = tuple[Tensor, ...]
"""One tensor (batch, ...) for each view of a batch of draws."""


class OnlineConfig(BaseModel):
    """Section ``[online]`` of a recipe: the size and the learning rate of the online heads."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    lr: float = Field(default=1e-3, gt=0, description="constant learning rate of Adam")
    hidden_width: int = Field(
        default=256, ge=1, description="hidden width of the MLP that regresses rotations"
    )


class OnlineEvaluation(nn.Module):
    """A linear classifier of views, and a rotation head on the first two views, for each of several spaces.

    Args:
        dimensions: Widths of the spaces by name, such as ``representation`` and ``embedding``.
        classes: Number of classes of the dataset.
        config: Sizes of the heads.
        rotation_dimension: Width of the regressed rotation; 0 if views have no rotation.
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

    def forward(
        self, spaces: Mapping[str, Views], labels: Tensor, rotation: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Computes the loss on this process's share of a batch, and scores by name on the whole batch.

        Args:
            spaces: Views by the name of the space; they are detached here.
            labels: Classes (batch,).
            rotation: Rotations (batch, rotation dimension) from the first views to the second; None if views have
                none.
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
        return torch.stack(losses).sum(), scores


@torch.no_grad()
def collapse_statistics(spaces: Mapping[str, Views]) -> dict[str, float]:
    """Computes how far each space is from collapse: ``NAME_std`` and ``NAME_correlation``.

    The first is the mean standard deviation of the dimensions; near 0, all views have one representation. The second is
    the mean absolute correlation between dimensions; near 1, all dimensions say the same.
    """
    statistics = {}
    for name, views in spaces.items():
        rows = torch.cat(views).float()
        deviation = rows.std(dim=0)
        standardized = (rows - rows.mean(dim=0)) / deviation.clamp(min=1e-6)
        correlation = (standardized.T @ standardized / (len(rows) - 1)).abs()
        dimension = len(correlation)
        off_diagonal = correlation.sum() - correlation.diagonal().sum()
        statistics[f"{name}_std"] = deviation.mean().item()
        statistics[f"{name}_correlation"] = (off_diagonal / max(1, dimension * (dimension - 1))).item()
    return statistics
