"""Classification by the nearest training views, which needs no fitting."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from iebench.evaluation.feature_rows import to_device_if_it_fits

NEIGHBORS = 20
TEMPERATURE = 0.07
QUERIES_AT_ONCE = 1024
TRAIN_ROWS_AT_ONCE = 2**16


@torch.inference_mode()
def nearest_classes(
    train: Tensor,
    labels: Tensor,
    queries: Tensor,
    classes: int,
    device: torch.device,
    k: int = NEIGHBORS,
    temperature: float = TEMPERATURE,
    first: int = 5,
) -> Tensor:
    """Classifies views by weighted k-NN, as DINO (arXiv 2104.14294, section 4.1) does.

    Each of the k training views that are nearest by cosine similarity s votes for its class with weight
    exp(s / temperature). Both sides go through the device in chunks: memory does not grow with either.

    Args:
        train: Representations (rows, dimension) of training views, on any device, of any float type.
        labels: Classes (rows,) of the training views, in [0, classes).
        queries: Representations (queries, dimension) to classify.
        classes: Number of classes.
        device: Device on which similarities are computed.
        k: Number of neighbors.
        temperature: Divisor of similarities; the smaller it is, the more the nearest views decide.
        first: Number of classes to name for each query.

    Returns:
        (queries, min(first, classes)) int64, best first.
    """
    ranked = []
    for nearest, rows in _nearest(train, queries, device, k):
        weights = ((nearest - nearest[:, :1]) / temperature).exp()  # relative to the first: cannot overflow
        votes = nearest.new_zeros(len(nearest), classes).scatter_add_(1, labels.to(device)[rows], weights)
        ranked.append(votes.topk(min(first, classes), dim=1).indices.to(queries.device))
    return torch.cat(ranked)


@torch.inference_mode()
def kth_similarity(train: Tensor, queries: Tensor, device: torch.device, k: int = NEIGHBORS) -> Tensor:
    """Computes the similarity of the k-th nearest training view; views unlike all of training have a small one.

    Sun et al. (arXiv 2204.06507) tell out-of-distribution inputs by this distance between normalized features. ``train``
    and ``queries`` are as of ``nearest_classes``; of fewer than k training views, the last counts.

    Returns:
        (queries,) float32 cosine similarities.
    """
    return torch.cat(
        [nearest[:, -1].to(queries.device) for nearest, _ in _nearest(train, queries, device, k)]
    )


def _nearest(train: Tensor, queries: Tensor, device: torch.device, k: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields cosine similarities and rows of the k nearest training views, best first, chunk by chunk of queries."""
    k = min(k, len(train))
    train = to_device_if_it_fits(train, device)
    for chunk in queries.split(QUERIES_AT_ONCE):
        asked = F.normalize(chunk.to(device).float(), dim=1)
        nearest = asked.new_full((len(asked), 0), 0)
        found = torch.zeros(len(asked), 0, dtype=torch.int64, device=device)
        for number, rows in enumerate(train.split(TRAIN_ROWS_AT_ONCE)):
            similarity = asked @ F.normalize(rows.to(device).float(), dim=1).T
            value, column = similarity.topk(min(k, len(rows)), dim=1)
            nearest = torch.cat((nearest, value), dim=1)
            found = torch.cat((found, column + number * TRAIN_ROWS_AT_ONCE), dim=1)
            nearest, order = nearest.topk(min(k, nearest.shape[1]), dim=1)
            found = found.gather(1, order)
        yield nearest, found
