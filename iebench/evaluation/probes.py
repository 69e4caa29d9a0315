"""Probes: small networks on frozen features that tell what the features hold.

As in the SIE paper (arXiv 2302.10283, section 5), classes are read off by a linear layer from one view, and
transformations by an MLP from the representations of two views. Features are standardised by the training
split's mean and deviation, so that scale, which training changes, does not decide how well a probe learns.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iebench.evaluation.features import Features
from iebench.recipes.recipe import EvaluationConfig

Target = Callable[[Tensor, Tensor], Tensor]
"""From the latents of two batches of views, (batch, latents) each, to what is regressed."""

PAIRS_PER_VALIDATION_VIEW = 4


def classify(
    train: Features, val: Features, classes: int, config: EvaluationConfig, device: torch.device
) -> dict[str, float]:
    """Linear classification of single views.

    Returns:
        ``top1`` and ``top5``, shares in [0, 1] of the validation views.
    """
    inputs, held_out = (features.flatten(0, 1).to(device) for features in _standardised(train, val))
    labels, expected = (
        features.labels.repeat_interleave(features.representations.shape[1]).to(device)
        for features in (train, val)
    )
    torch.manual_seed(0)
    layer = nn.Linear(inputs.shape[1], classes).to(device)

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        order = torch.randperm(len(inputs), generator=generator).to(device)
        return inputs[order], labels[order]

    _fit(layer, draw, F.cross_entropy, config)
    with torch.inference_mode():
        ranked = layer(held_out).topk(min(5, classes), dim=1).indices
    hits = ranked == expected[:, None]
    return {"top1": hits[:, 0].float().mean().item(), "top5": hits.any(dim=1).float().mean().item()}


def regress_pairs(
    train: Features, val: Features, target: Target, config: EvaluationConfig, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Regression of a transformation from the representations of two views of one object.

    Each epoch every training view meets another view of its object, drawn at random; validation views meet
    four, the same ones for every model.

    Returns:
        Predicted and expected targets of the validation pairs, (pairs, target dimension) float32.
    """
    inputs, held_out = (features.to(device) for features in _standardised(train, val))

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return _pairs(inputs, train.latents, target, generator)

    validation = torch.Generator().manual_seed(1)
    drawn = [_pairs(held_out, val.latents, target, validation) for _ in range(PAIRS_PER_VALIDATION_VIEW)]
    pairs, expected = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    torch.manual_seed(0)
    width = config.hidden_width
    network = nn.Sequential(
        nn.Linear(pairs.shape[1], width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, expected.shape[1]),
    ).to(device)
    _fit(network, draw, F.mse_loss, config)
    with torch.inference_mode():
        return network(pairs), expected


def _fit(
    network: nn.Module,
    draw: Callable[[torch.Generator], tuple[Tensor, Tensor]],
    criterion: Callable[[Tensor, Tensor], Tensor],
    config: EvaluationConfig,
) -> None:
    """Trains with Adam on what ``draw`` gives anew for each epoch, in random order."""
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr)
    generator = torch.Generator().manual_seed(0)
    for _ in range(config.epochs):
        inputs, targets = draw(generator)
        for chunk, expected in zip(
            inputs.split(config.batch_size), targets.split(config.batch_size), strict=True
        ):
            optimizer.zero_grad()
            criterion(network(chunk), expected).backward()
            optimizer.step()


def _standardised(train: Features, val: Features) -> tuple[Tensor, Tensor]:
    """Representations of both splits, standardised by the training split's statistics per column.

    A column that is constant in training is not scaled: what little it does in validation would drown the rest.
    """
    mean = train.representations.mean(dim=(0, 1))
    deviation = train.representations.std(dim=(0, 1))
    deviation = torch.where(deviation > 1e-6, deviation, 1.0)
    first, second = ((features.representations - mean) / deviation for features in (train, val))
    return first, second


def _pairs(
    inputs: Tensor, latents: Tensor, target: Target, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Every view beside another view of its object, in random order, and what takes one to the other.

    Returns:
        (objects * views, 2 * dimension) and (objects * views, target dimension) float32.
    """
    objects, views, _ = inputs.shape
    shift = torch.randint(1, views, (objects, views), generator=generator)
    partner = (torch.arange(views) + shift) % views
    rows = torch.arange(objects)[:, None]
    expected = target(latents.flatten(0, 1), latents[rows, partner].flatten(0, 1)).float().to(inputs.device)
    order = torch.randperm(objects * views, generator=generator)
    pairs = torch.cat((inputs, inputs[rows, partner]), dim=2).flatten(0, 1)
    return pairs[order.to(inputs.device)], expected[order.to(inputs.device)]
