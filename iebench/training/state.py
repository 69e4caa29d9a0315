"""What a training consists of while it runs, and what of it a checkpoint holds."""

from typing import Any

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
        self.precision = precision
        self.step = 0

    def content(self) -> dict[str, Any]:
        """The content of a checkpoint."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
            "position": {"step": self.step},
        }

    def load(self, content: dict[str, Any]) -> None:
        """Takes up the state of a checkpoint; the scale of losses only where both are float16."""
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        if content.get("scaler") and self.precision.scaler.is_enabled():
            self.precision.scaler.load_state_dict(content["scaler"])
        self.step = content["position"]["step"]
