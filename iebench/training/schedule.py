"""Number of steps of a training, and the steps at which it writes checkpoints."""

from dataclasses import dataclass

from iebench.recipes.recipe import Recipe
from shards.schema import DatasetIndex


@dataclass(frozen=True)
class Schedule:
    """Converts between steps and epochs. An epoch has one draw of views per object; in the SIE paper, a pair.

    ``objects`` are those of the training split; ``batch_size`` counts draws of ``views`` views, and ``checkpoint_every``
    and ``milestone_every`` epochs (None: no milestones).
    """

    objects: int
    batch_size: int
    epochs: int
    checkpoint_every: int
    milestone_every: int | None = None
    views: int = 2

    @classmethod
    def from_recipe(cls, recipe: Recipe, index: DatasetIndex, views: int = 2) -> "Schedule":
        """Creates the schedule of a recipe on a dataset, for draws of ``views`` views."""
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
        """Number of images in one step of all processes together."""
        return self.views * self.batch_size

    @property
    def steps(self) -> int:
        """Number of steps of the whole training, at least 1."""
        return max(1, self.epochs * self.objects // self.batch_size)

    def epoch(self, step: int) -> float:
        """Returns the number of epochs that ``step`` steps make, a fraction."""
        return step * self.batch_size / self.objects

    def ends_stretch(self, step: int, epochs: int) -> bool:
        """Returns whether ``step`` is the first to reach a multiple of ``epochs`` epochs."""
        return self.epoch(step) // epochs > self.epoch(step - 1) // epochs

    def wants_checkpoint(self, step: int) -> bool:
        """Returns whether a checkpoint follows ``step``: a regular one, a milestone or the last."""
        ends_stretch = self.ends_stretch(step, self.checkpoint_every)
        return ends_stretch or self.milestone(step) is not None or step == self.steps

    def milestone(self, step: int) -> int | None:
        """Returns the milestone's epoch if ``step`` is the first to reach one, and None otherwise."""
        if self.milestone_every is None or not self.ends_stretch(step, self.milestone_every):
            return None
        return int(self.epoch(step) // self.milestone_every) * self.milestone_every
