"""Scores on their way from one process to another."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from iebench.evaluation.intervals import PerObject, load_per_object, save_per_object
from iebench.evaluation.scoring import Scores


def keyed(name: str, task: str, part: str, scores: Scores) -> dict[str, PerObject]:
    """Scores under the keys by which processes exchange them; the part stands last, since anyone names parts."""
    return {f"{name}/{task}/{metric}/{part}": score for metric, score in scores.items()}


def packed(found: Mapping[str, PerObject]) -> Tensor:
    """Scores as (length,) uint8, for the way to another process; empty for none."""
    if not found:
        return torch.empty(0, dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.npz"
        save_per_object(path, found)
        return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


def unpacked(content: Tensor) -> dict[str, PerObject]:
    """The reverse of ``packed``."""
    if not len(content):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.npz"
        path.write_bytes(content.numpy().tobytes())
        return load_per_object(path)
