"""Weights & Biases: the curves of a run as one W&B run, however often the run is stopped and resumed."""

import importlib.util
import os
import secrets
from pathlib import Path
from typing import Any

from shards.errors import IebenchError, UsageError
from shards.files import write_text


def require_wandb() -> None:
    """Raises UsageError if the package ``wandb`` is not installed; does not import it."""
    if importlib.util.find_spec("wandb") is None:
        raise UsageError("--log wandb needs a package that is not installed: pip install 'iebench[wandb]'")


class WandbLog:
    """Writes the scalars of a training to Weights & Biases; its files and its run's id go to ``wandb/`` in the folder.

    W&B's own variables hold: ``WANDB_MODE=offline`` writes to the run's folder only, for ``wandb sync`` to upload.
    W&B takes each step once: what a run that was killed logged after its last checkpoint stays there as it was.

    Raises:
        IebenchError: W&B cannot begin a run.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        import wandb

        (folder / "wandb").mkdir(exist_ok=True)
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "iebench"),
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
        """Sends what is not sent yet, and tells W&B whether the training failed."""
        self._run.finish(exit_code=int(failed))


def run_id(folder: Path) -> str:
    """Returns the id of the W&B run: drawn at random the first time, and later read from ``wandb/id``."""
    path = folder / "wandb" / "id"
    if not path.is_file():
        write_text(path, secrets.token_hex(8) + "\n")
    return path.read_text(encoding="utf-8").strip()
