"""Packs scores for sending them from one process to another."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from iebench.evaluation.intervals import PerObject, load_per_object, save_per_object
from iebench.evaluation.scoring import Scores


def keyed(name: str, task: str, part: str, scores: Scores) -> dict[str, PerObject]:
    """Puts scores under the keys by which processes exchange them; the part is last, since its name may hold anything."""
    return {f"{name}/{task}/{metric}/{part}": score for metric, score in scores.items()}


def packed(found: Mapping[str, PerObject]) -> Tensor:
    """Packs scores into bytes (length,) uint8; empty for no scores."""
    if not found:
        return torch.empty(0, dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.npz"
        save_per_object(path, found)
        return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


def unpacked(content: Tensor) -> dict[str, PerObject]:
    """Unpacks what ``packed`` returned."""
    if not len(content):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.npz"
        path.write_bytes(content.numpy().tobytes())
        return load_per_object(path)
