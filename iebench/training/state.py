"""What a training consists of while it runs, and what of it a checkpoint holds."""

from typing import Any

from torch import Tensor

from iebench.recipes.recipe import Recipe
from iebench.training.model import Model
from iebench.training.optimizers import build_optimizer
from iebench.training.precision import Precision


class TrainingState:
    """A model on its device, its optimizer, the scale of losses, and how many steps they have taken.

    The model moves to the device first and the optimizer is built on it there, so that a checkpoint's optimizer
    state is loaded to where the parameters are.

    Args:
        model: Is moved to the device.
        recipe: Says how it is optimized.
        precision: Holds the device.
    """

    def __init__(self, model: Model, recipe: Recipe, precision: Precision) -> None:
        self.model = model.to(precision.device)
        self.optimizer = build_optimizer(model, recipe, precision.device)
        self.optimizer_name = recipe.optimizer.name
        self.precision = precision
        self.step = 0

    def buffers(self) -> dict[str, Tensor]:
        """Copies of all running statistics, which the next forward pass changes."""
        return {name: value.clone() for name, value in self.model.named_buffers()}

    def content(self, buffers: dict[str, Tensor] | None = None) -> dict[str, Any]:
        """The content of a checkpoint.

        Args:
            buffers: Running statistics to write instead of the present ones.
        """
        return {
            "model": {**self.model.state_dict(), **(buffers or {})},
            "optimizer": self.optimizer.state_dict(),
            "optimizer_name": self.optimizer_name,
            "scaler": self.precision.scaler.state_dict(),
            "position": {"step": self.step},
        }

    def load(self, content: dict[str, Any]) -> None:
        """Takes up the state of a checkpoint.

        What was changed since stays changed: the recipe's hyper-parameters overrule the checkpoint's. Another
        optimizer, online heads of another width and another precision begin without a past.
        """
        ours, theirs = self.model.state_dict(), content["model"]
        resized = any(
            value.shape != theirs[name].shape for name, value in ours.items() if name.startswith("online.")
        )
        heads = {name: value for name, value in ours.items() if resized and name.startswith("online.")}
        self.model.load_state_dict({**theirs, **heads})
        if content.get("optimizer_name", "adam") == self.optimizer_name:
            self._load_optimizer(content["optimizer"]["state"])
        if content.get("scaler") and self.precision.scaler.is_enabled():
            self.precision.scaler.load_state_dict(content["scaler"])
        self.step = content["position"]["step"]

    def _load_optimizer(self, states: dict[int, dict[str, Any]]) -> None:
        """Loads the state of each parameter whose shape is still what it was."""
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
