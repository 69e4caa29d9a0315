"""Which augmented views a method of a recipe gets, and whether it can be told what it asks for."""

from iebench.augmentations.pipeline import Augmentation
from iebench.methods import Method
from iebench.methods.parts.transformations import AUGMENTATION_GROUPS, SCENE_GROUPS
from iebench.recipes.recipe import Recipe
from shards.errors import UsageError
from shards.schema import DatasetIndex


def augmentation_of(recipe: Recipe, method: Method, index: DatasetIndex) -> Augmentation | None:
    """The maker of a recipe's views; None where views are as they are stored.

    A method that is told augmentations gets the original first; others get augmented views only, the same ones.

    Args:
        recipe: Says how views are augmented.
        method: The recipe's method.
        index: Index of the dataset.

    Raises:
        UsageError: the method is told a group that is not recorded, or augmentations between augmented views.
    """
    told = [(relation, group) for relation in method.relations() for group in relation.groups]
    config = recipe.augmentation
    recorded = config.recorded_groups() if config is not None else ()
    for relation, group in told:
        if group in AUGMENTATION_GROUPS and group not in recorded:
            has = (
                "this recipe has no [augmentation]"
                if config is None
                else "its [augmentation] never applies it"
            )
            raise UsageError(
                f"method.groups names {group!r}, and {has}; it records: {', '.join(recorded) or 'nothing'}"
            )
        if group in AUGMENTATION_GROUPS and relation.source != 0:
            raise UsageError(
                f"the method is told {group!r} from view {relation.source}, and augmentations are recorded from the "
                "original only, which is view 0"
            )
        if group in SCENE_GROUPS and config is not None:
            raise UsageError(
                f"method.groups names {group!r}, which does not change between augmentations of one view; name of: "
                f"{', '.join(recorded)}"
            )
    if config is None:
        return None
    first = 0 if method.wants_original() else 1
    return Augmentation(
        config, recipe.training.seed, tuple(range(first, first + method.view_count)), index.image_size
    )
