"""Scalars of a training: a JSON line for each logged step, and the same to TensorBoard, Weights & Biases, or both."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from shards.files import write_text

LogName = Literal["tensorboard", "wandb"]


class ScalarLog(Protocol):
    """Where curves are drawn."""

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Logs the scalars of one step."""

    def close(self, failed: bool) -> None:
        """Writes what is left.

        Args:
            failed: Whether the training ended with an error.
        """


class MetricsLog:
    """Appends to ``metrics.jsonl`` and writes the same to other logs; a context that closes all at its end.

    Args:
        path: File of the JSON lines. Those after ``step`` are dropped, so that a resumed curve has no step twice.
        step: Step from which training goes on.
        others: Further logs.
    """

    def __init__(self, path: Path, step: int, others: Sequence[ScalarLog] = ()) -> None:
        kept = [record for record in read_metrics(path) if record["step"] <= step]
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
        self._stream = path.open("a", encoding="utf-8")
        self._others = others

    def write(self, record: dict[str, Any]) -> None:
        """Logs one step; ``record["step"]`` says which."""
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()
        scalars = {f"train/{name}": value for name, value in record.items() if name != "step"}
        for other in self._others:
            other.write(record["step"], scalars)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stream.close()
        for other in self._others:
            other.close(failed=kind is not None)


class TensorBoardLog:
    """Writes scalars as TensorBoard's events.

    Args:
        folder: TensorBoard's folder.
        step: Step from which training goes on; TensorBoard drops what it has of later ones.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Logs the scalars of one step."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def close(self, failed: bool) -> None:
        """Writes what is left."""
        self._writer.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The records of a ``metrics.jsonl``; a last line that was cut short is left out."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records
