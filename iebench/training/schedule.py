"""How long a training is, and at which steps it writes checkpoints."""

from dataclasses import dataclass

from iebench.recipes.recipe import Recipe
from shards.schema import DatasetIndex


@dataclass(frozen=True)
class Schedule:
    """Steps and epochs. An epoch is one draw of views per object, which is a pair in the SIE paper."""

    objects: int
    batch_size: int
    epochs: int
    checkpoint_every: int
    milestone_every: int | None = None
    views: int = 2

    @classmethod
    def of(cls, recipe: Recipe, index: DatasetIndex, views: int = 2) -> "Schedule":
        """The schedule of a recipe on a dataset.

        Args:
            recipe: Says how many epochs and how large batches are.
            index: Index of the dataset.
            views: Number of views of a draw.
        """
        training = recipe.training
        return cls(
            index.split("train").objects,
            training.batch_size,
            training.epochs,
            training.checkpoint_every,
            training.milestone_every,
            views,
        )

    @property
    def images_per_step(self) -> int:
        """Images of one step in all processes."""
        return self.views * self.batch_size

    @property
    def steps(self) -> int:
        """Steps in all."""
        return max(1, self.epochs * self.objects // self.batch_size)

    def epoch(self, step: int) -> float:
        """Epochs done after ``step`` steps."""
        return step * self.batch_size / self.objects

    def ends_stretch(self, step: int, epochs: int) -> bool:
        """Whether ``step`` is the first to reach a multiple of so many epochs."""
        return self.epoch(step) // epochs > self.epoch(step - 1) // epochs

    def wants_checkpoint(self, step: int) -> bool:
        """Whether ``step`` ends a stretch of ``checkpoint_every`` epochs, is a milestone, or ends the training."""
        ends_stretch = self.ends_stretch(step, self.checkpoint_every)
        return ends_stretch or self.milestone(step) is not None or step == self.steps

    def milestone(self, step: int) -> int | None:
        """The milestone's epoch, where ``step`` is the first to reach it."""
        if self.milestone_every is None or not self.ends_stretch(step, self.milestone_every):
            return None
        return int(self.epoch(step) // self.milestone_every) * self.milestone_every
