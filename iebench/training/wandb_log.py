"""Weights & Biases: the curves of a run as one W&B run, however often the run is stopped and resumed."""

import importlib.util
import os
import secrets
from pathlib import Path
from typing import Any

from shards.errors import IebenchError, UsageError
from shards.files import write_text

PROJECT = "iebench"
"""Project on W&B unless the environment variable ``WANDB_PROJECT`` names another."""


def require_wandb() -> None:
    """Makes sure that the package is installed, without importing it.

    Raises:
        UsageError: It is not.
    """
    if importlib.util.find_spec("wandb") is None:
        raise UsageError("--log wandb needs a package that is not installed: pip install 'iebench[wandb]'")


class WandbLog:
    """Writes the scalars of a training to Weights & Biases.

    W&B's own variables hold: ``WANDB_MODE=offline`` writes to the run's folder only, for ``wandb sync`` to upload.
    W&B takes each step once: what a run that was killed logged after its last checkpoint stays there as it was.

    Args:
        folder: The run's folder; W&B's files and the id of the W&B run go to ``wandb/`` in it.
        config: The recipe, which W&B shows beside the curves.

    Raises:
        IebenchError: W&B does not begin a run.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        import wandb

        (folder / "wandb").mkdir(exist_ok=True)
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                dir=str(folder),
                id=run_id(folder),
                resume="allow",
                name=folder.resolve().name,
                config=config,
                allow_val_change=True,  # a resumption may change the recipe
                settings=wandb.Settings(console="off", disable_git=True, save_code=False, silent=True),
            )
        except (wandb.Error, OSError) as error:
            raise IebenchError(
                f"Weights & Biases does not begin a run ({' '.join(str(error).split())}); run `wandb login`, or set "
                "WANDB_MODE=offline and upload later with `wandb sync`, then go on with `iebench train --resume "
                f"{folder}`"
            ) from None

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Logs the scalars of one step."""
        self._run.log(scalars, step=step)

    def close(self, failed: bool) -> None:
        """Sends what is left, and tells W&B how the training ended."""
        self._run.finish(exit_code=int(failed))


def run_id(folder: Path) -> str:
    """The id of the W&B run of a run's folder, which is made up once and then read from ``wandb/id``."""
    path = folder / "wandb" / "id"
    if not path.is_file():
        write_text(path, secrets.token_hex(8) + "\n")
    return path.read_text(encoding="utf-8").strip()
