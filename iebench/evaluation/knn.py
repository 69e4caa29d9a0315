"""Classification by the nearest training views, without anything to fit."""

import torch
import torch.nn.functional as F
from torch import Tensor

NEIGHBORS = 20
TEMPERATURE = 0.07
QUERIES_AT_ONCE = 1024
ROWS_AT_ONCE = 2**16


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
    """Classes of views by weighted k-NN, as DINO (arXiv 2104.14294, section 4.1) does it.

    Each of the k training views that are nearest by cosine similarity s votes for its class with weight
    exp(s / temperature). Both sides go through the device in chunks: memory does not grow with either.

    Args:
        train: (rows, dimension) representations of training views, on any device, of any float type.
        labels: (rows,) their classes in [0, classes).
        queries: (queries, dimension) representations to be classified.
        classes: Number of classes.
        device: Where similarities are computed.
        k: Number of neighbors.
        temperature: The smaller, the more the nearest views decide.
        first: How many classes are named for each query.

    Returns:
        (queries, min(first, classes)) int64, best first.
    """
    k = min(k, len(train))
    ranked = []
    for chunk in queries.split(QUERIES_AT_ONCE):
        asked = F.normalize(chunk.to(device).float(), dim=1)
        nearest = asked.new_full((len(asked), 0), 0)
        found = torch.zeros(len(asked), 0, dtype=torch.int64, device=device)
        for rows, known in zip(train.split(ROWS_AT_ONCE), labels.split(ROWS_AT_ONCE), strict=True):
            similarity = asked @ F.normalize(rows.to(device).float(), dim=1).T
            value, column = similarity.topk(min(k, len(rows)), dim=1)
            nearest = torch.cat((nearest, value), dim=1)
            found = torch.cat((found, known.to(device)[column]), dim=1)
            nearest, order = nearest.topk(min(k, nearest.shape[1]), dim=1)
            found = found.gather(1, order)
        weights = ((nearest - nearest[:, :1]) / temperature).exp()  # relative to the first: cannot overflow
        votes = asked.new_zeros(len(asked), classes).scatter_add_(1, found, weights)
        ranked.append(votes.topk(min(first, classes), dim=1).indices.to(queries.device))
    return torch.cat(ranked)
