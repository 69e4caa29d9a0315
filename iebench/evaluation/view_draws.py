"""Draws the views to which probes are fitted and on which they are tested, by functions of their arguments alone."""

import torch
from torch import Tensor

from iebench.evaluation.protocol import EvaluationConfig


def pairs_of_test(objects: int, views: int) -> tuple[Tensor, Tensor]:
    """Draws the pairs on which probes are tested: every view with another view of its object.

    Returns:
        Rows of first and second views, (objects * views,) each.
    """
    first = torch.arange(objects * views)
    return first, _partners(first, views, torch.Generator().manual_seed(1))


def train_draws(
    objects: int, views: int, config: EvaluationConfig, epoch: int, share: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Draws the views that an epoch shows, as a function of its arguments alone.

    By the published protocol an epoch shows one random view of each object, with another of its views beside it;
    by the thorough one, every view. Probes of single views take the first. A ``share`` of the objects, at least one, is
    shown, which is the same in each epoch.

    Returns:
        Rows of first and second views in random order, one dimension each.
    """
    generator = torch.Generator().manual_seed(epoch)
    chosen = torch.arange(objects)
    if share < 1:
        count = max(1, round(share * objects))
        chosen = torch.randperm(objects, generator=torch.Generator().manual_seed(0))[:count].sort().values
    if config.protocol == "published":
        first = chosen * views + torch.randint(views, (len(chosen),), generator=generator)
    else:
        first = (chosen[:, None] * views + torch.arange(views)).flatten()
    second = _partners(first, views, generator)
    order = torch.randperm(len(first), generator=generator)
    return first[order], second[order]


def _partners(first: Tensor, views: int, generator: torch.Generator) -> Tensor:
    """Draws another view of the same object for each row, or the view itself if there is no other."""
    if views < 2:
        return first
    shift = torch.randint(1, views, first.shape, generator=generator)
    return first - first % views + (first % views + shift) % views
