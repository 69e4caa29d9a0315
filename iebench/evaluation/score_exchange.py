"""Packs scores for sending them from one process to another."""

import io
from collections.abc import Mapping

import torch
from torch import Tensor

from iebench.evaluation.intervals import PerObject, load_per_object, write_per_object
from iebench.evaluation.results import ScoreKey
from iebench.evaluation.scoring import Scores


def by_exchange_key(fingerprint: str, scores: Mapping[tuple[str, str], Scores]) -> dict[str, PerObject]:
    """Puts scores by task and part under the texts ``fingerprint/task/part/metric`` by which processes exchange them."""
    return {
        ScoreKey(task, part, metric).text_of(fingerprint): score
        for (task, part), of_metrics in scores.items()
        for metric, score in of_metrics.items()
    }


def pack_scores(found: Mapping[str, PerObject]) -> Tensor:
    """Packs scores into bytes (length,) uint8; empty for no scores."""
    if not found:
        return torch.empty(0, dtype=torch.uint8)
    buffer = io.BytesIO()
    write_per_object(buffer, found)
    return torch.frombuffer(bytearray(buffer.getbuffer()), dtype=torch.uint8)


def unpack_scores(content: Tensor) -> dict[str, PerObject]:
    """Unpacks what ``pack_scores`` returned."""
    return load_per_object(io.BytesIO(content.numpy().tobytes())) if len(content) else {}
