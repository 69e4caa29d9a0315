"""Scalars of a training: a JSON line and TensorBoard's events for each logged step."""

import json
from pathlib import Path
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from shards.files import write_text


class MetricsLog:
    """Appends to ``metrics.jsonl`` and writes the same to TensorBoard; a context that flushes both at its end.

    Args:
        path: of the JSON lines; those after ``step`` are dropped, so that a resumed curve has no step twice.
        tensorboard: TensorBoard's folder.
        step: the step from which training goes on.
    """

    def __init__(self, path: Path, tensorboard: Path, step: int) -> None:
        kept = [record for record in read_metrics(path) if record["step"] <= step]
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
        self._stream = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(tensorboard), purge_step=step + 1 if step else None)

    def write(self, record: dict[str, Any]) -> None:
        """Logs one step; ``record["step"]`` says which."""
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()
        for name, value in record.items():
            if name != "step":
                self._board.add_scalar(f"train/{name}", value, record["step"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
        self._board.close()


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
