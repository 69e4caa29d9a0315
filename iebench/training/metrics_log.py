"""Writes the scalars of a training as JSON lines, and to TensorBoard and Weights & Biases if asked for."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from iebench.training.wandb_log import WandbLog
from shards.files import write_text

LogName = Literal["tensorboard", "wandb"]


class MetricsLog:
    """Appends to ``metrics.jsonl`` and writes the same to other logs. A context manager that closes all of them.

    The training continues from ``step``; lines of later steps are dropped, so that no step is there twice.
    """

    def __init__(self, path: Path, step: int, others: Sequence["TensorBoardLog | WandbLog"]) -> None:
        kept = [record for record in read_metrics(path) if record["step"] <= step]
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
        self._stream = path.open("a", encoding="utf-8")
        self._others = others

    def write(self, record: dict[str, Any]) -> None:
        """Logs the step whose number is ``record["step"]``."""
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
    """Writes scalars as events of TensorBoard, which drops those of steps after ``step``."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Logs the scalars of one step."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def close(self, failed: bool) -> None:
        """Writes what is not written yet."""
        self._writer.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Reads the records of a ``metrics.jsonl``, up to the first line that is not whole."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records
