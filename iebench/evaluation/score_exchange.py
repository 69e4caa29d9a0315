"""Packs scores for sending them from one process to another."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from iebench.evaluation.intervals import PerObject, load_per_object, save_per_object
from iebench.evaluation.results import ScoreKey
from iebench.evaluation.scoring import Scores


def by_exchange_key(fingerprint: str, scores: Mapping[tuple[str, str], Scores]) -> dict[str, PerObject]:
    """Puts scores under the texts by which processes exchange them.

    Args:
        fingerprint: Fingerprint of the network.
        scores: Scores by task and part.

    Returns:
        Contributions of objects by ``fingerprint/task/part/metric``.
    """
    return {
        ScoreKey(task, part, metric).text_of(fingerprint): score
        for (task, part), of_metrics in scores.items()
        for metric, score in of_metrics.items()
    }


def pack_scores(found: Mapping[str, PerObject]) -> Tensor:
    """Packs scores into bytes (length,) uint8; empty for no scores."""
    if not found:
        return torch.empty(0, dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.npz"
        save_per_object(path, found)
        return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


def unpack_scores(content: Tensor) -> dict[str, PerObject]:
    """Unpacks what ``pack_scores`` returned."""
    if not len(content):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.npz"
        path.write_bytes(content.numpy().tobytes())
        return load_per_object(path)
