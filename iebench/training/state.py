"""The state of a training, which checkpoints save and restore."""

from typing import Any

from torch import Tensor

from iebench.recipes.recipe import Recipe
from iebench.training.model import Model
from iebench.training.optimizers import build_optimizer
from iebench.training.precision import Precision


class TrainingState:
    """A model on its device, its optimizer, its gradient scaler and the number of steps that were taken.

    The model moves to the device first and the optimizer is built on it there, so that a checkpoint's optimizer
    state is loaded to where the parameters are.
    """

    def __init__(self, model: Model, recipe: Recipe, precision: Precision) -> None:
        self.model = model.to(precision.device)
        self.optimizer = build_optimizer(model, recipe)
        self.optimizer_name = recipe.optimizer.name
        self.precision = precision
        self.step = 0

    def buffers(self) -> dict[str, Tensor]:
        """Copies all running statistics, which the next forward pass will change."""
        return {name: value.clone() for name, value in self.model.named_buffers()}

    def content(self, buffers: dict[str, Tensor] | None = None) -> dict[str, Any]:
        """Returns the content of a checkpoint, with ``buffers`` instead of the present running statistics."""
        return {
            "model": {**self.model.state_dict(), **(buffers or {})},
            "optimizer": self.optimizer.state_dict(),
            "optimizer_name": self.optimizer_name,
            "scaler": self.precision.scaler.state_dict(),
            "position": {"step": self.step},
        }

    def load(self, content: dict[str, Any]) -> None:
        """Loads a checkpoint.

        The recipe's hyper-parameters overrule those of the checkpoint. If the recipe now names another optimizer, another
        width of the online heads or another precision, that part of the checkpoint is not loaded.
        """
        saved = content["model"]
        heads = {name: value for name, value in self.model.state_dict().items() if name.startswith("online.")}
        is_resized = any(value.shape != saved[name].shape for name, value in heads.items())
        self.model.load_state_dict({**saved, **heads} if is_resized else saved)
        if content.get("optimizer_name", "adam") == self.optimizer_name:
            self._load_optimizer(content["optimizer"]["state"])
        if content.get("scaler") and self.precision.scaler.is_enabled():
            self.precision.scaler.load_state_dict(content["scaler"])
        self.step = content["position"]["step"]

    def _load_optimizer(self, states: dict[int, dict[str, Any]]) -> None:
        """Loads the optimizer's state of each parameter that still has the same shape."""
        groups = self.optimizer.state_dict()["param_groups"]
        numbers = [number for group in groups for number in group["params"]]
        parameters = [value for group in self.optimizer.param_groups for value in group["params"]]
        fitting = {
            number: states[number]
            for number, parameter in zip(numbers, parameters, strict=True)
            if number in states
            and all(
                value.shape == parameter.shape
                for value in states[number].values()
                if isinstance(value, Tensor) and value.ndim
            )
        }
        self.optimizer.load_state_dict({"state": fitting, "param_groups": groups})
