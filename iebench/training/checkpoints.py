"""The checkpoints of a run: the last few, and those of milestones."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

from iebench.training.run import Run, save_checkpoint
from shards.files import atomic_write

_STEP = re.compile(r"step-(\d+)\.pt")


class Checkpoints:
    """Writes checkpoints and deletes old ones: ``step-00000410.pt``, and ``last.pt`` for the newest of them.

    Both names of the newest are one file where the file system has hard links.

    Args:
        run: The run whose folder holds them.
        keep: How many of the last ones stay.
    """

    def __init__(self, run: Run, keep: int) -> None:
        self._run = run
        self._folder = run.last_checkpoint.parent
        self._keep = keep

    def save(self, content: dict[str, Any], step: int, milestone: int | None = None) -> None:
        """Writes the checkpoint of a step.

        Args:
            content: What it holds.
            step: How many steps were taken.
            milestone: Epoch for whose sake it stays for ever, as ``epoch-0100.pt``.
        """
        path = self._folder / f"step-{step:08}.pt"
        save_checkpoint(path, content)
        _link(path, self._run.last_checkpoint)
        if milestone is not None:
            _link(path, self._folder / f"epoch-{milestone:04}.pt")
        for old in self.steps()[: -self._keep]:
            (self._folder / f"step-{old:08}.pt").unlink(missing_ok=True)

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, in their order."""
        names = (_STEP.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(int(name[1]) for name in names if name)


def _link(path: Path, name: Path) -> None:
    """Gives a file a second name, which another file may have had; copies it where there are no hard links."""
    temporary = name.with_name(f".{name.name}.link")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:
        with path.open("rb") as source, atomic_write(name) as stream:
            shutil.copyfileobj(source, stream)
        return
    temporary.replace(name)
    temporary.unlink(missing_ok=True)  # renaming onto another name of the same file does nothing
