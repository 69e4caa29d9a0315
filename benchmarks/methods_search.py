"""The search that every method gets: three learning rates, then three values of its own weight."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from iebench.recipes.recipe import Recipe
from iebench.training.model import build_model
from iebench.training.precision import Precision
from iebench.training.run import Run, load_checkpoint
from iebench.training.validation import Validation
from shards.files import write_text
from shards.schema import open_dataset

RATES = (0.5, 1.0, 2.0)
"""Times the learning rate of the recipe `demo`."""
WEIGHTS = (0.25, 1.0, 4.0)
"""Times the value that the recipe starts from."""
OWN = ("equivariance", "similarity", "temperature", "momentum")
"""The weight of a method is the first of these that it has: of its equivariant term, of invariance, the temperature
of its contrast, how slow its target network is."""
TUNING_SEED = 1000

Values = dict[str, float]
"""``lr``, and the method's own weight by its name."""


@dataclass(frozen=True)
class Trial:
    """One training of the search, with the score that ``tuning_score`` gave it."""

    values: Values
    score: float


@dataclass(frozen=True)
class Choice:
    """What the search of one recipe came to."""

    trials: list[Trial]

    @property
    def best(self) -> Trial:
        """The trial of the highest score; among equals, the first."""
        return max(self.trials, key=lambda trial: trial.score)


def own_weight(method: dict[str, Any]) -> str | None:
    """The field of a method that is searched; None if it has none."""
    return next((name for name in OWN if method.get(name)), None)


def candidates(name: str, start: float) -> list[float]:
    """The values of a field that are tried, the recipe's first."""
    if name == "momentum":  # of a moving average: what counts is the distance from 1
        return [1 - (1 - start) * factor for factor in (1.0, 0.25, 4.0)]
    factors = RATES if name in ("lr", "temperature") else WEIGHTS
    return [start * factor for factor in sorted(factors, key=lambda factor: factor != 1)]


def search(start: Values, score: Callable[[Values], float]) -> Choice:
    """Tries learning rates at the recipe's weight, and then other weights at the best of them.

    Args:
        start: The recipe's values; ``lr`` is the first.
        score: Trains with some values and returns the score.
    """
    choice = Choice([])
    values = start
    for name in start:
        for value in candidates(name, start[name]):
            tried = {**values, name: value}
            if tried not in [trial.values for trial in choice.trials]:
                choice.trials.append(Trial(tried, score(tried)))
        values = choice.best.values
    return choice


def with_values(content: dict[str, Any], values: Values) -> dict[str, Any]:
    """The content of a recipe with searched values."""
    rate = {"optimizer": {**content["optimizer"], "lr": values["lr"]}}
    own = {name: value for name, value in values.items() if name != "lr"}
    return {**content, **rate, "method": {**content["method"], **own}}


def start_values(recipe: Recipe) -> Values:
    """The values that a search starts from."""
    own = own_weight(recipe.method.model_dump())
    return {"lr": recipe.optimizer.lr} | ({own: getattr(recipe.method, own)} if own else {})


def trial_name(values: Values) -> str:
    """The folder of a trial."""
    return "-".join(f"{name}{value:g}" for name, value in values.items())


def tuning_score(run: Run, recipe: Recipe, data: Path) -> float:
    """Top-1 plus rotation R² of a trial's online heads on the validation objects of ``data``; stays in its folder.

    Raises:
        IebenchError: The trial's checkpoint cannot be read.
    """
    path = run.folder / "tuning.json"
    if not path.is_file():
        index = open_dataset(data)
        model = build_model(recipe, index)
        model.load_state_dict(load_checkpoint(run.last_checkpoint)["model"])
        scores = Validation(data, index, Precision("float32", torch.device("cpu"))).scores(model)
        write_text(path, json.dumps(scores))
    scores = json.loads(path.read_text(encoding="utf-8"))
    return scores["val_online_top1"] + scores["val_online_rotation_r2"]
