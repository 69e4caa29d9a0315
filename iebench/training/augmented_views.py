"""The augmentations of a recipe, checked against what its method is told."""

from iebench.augmentations.pipeline import Augmentation
from iebench.methods import Method
from iebench.methods.parts.transformations import AUGMENTATION_GROUPS, SCENE_GROUPS
from iebench.recipes.recipe import Recipe
from shards.errors import UsageError
from shards.schema import DatasetIndex


def augmentation_of(recipe: Recipe, method: Method, index: DatasetIndex) -> Augmentation | None:
    """Creates the augmentation of a recipe; None if views are drawn as they are stored.

    A method that is told augmentations gets the original picture as view 0. Other methods get augmented views only, which
    are the same ones.

    Raises:
        UsageError: The method asks for a group that is not recorded, or for augmentations between augmented views.
    """
    config = recipe.augmentation
    recorded = config.recorded_groups() if config is not None else ()
    told = [(relation, group) for relation in method.relations() for group in relation.groups]
    for relation, group in told:
        if group in AUGMENTATION_GROUPS and group not in recorded:
            lack = "its [augmentation] never applies it" if config else "this recipe has no [augmentation]"
            raise UsageError(
                f"method.groups names {group!r}, and {lack}; it records: {', '.join(recorded) or 'nothing'}"
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
    views = tuple(range(first, first + method.view_count))
    return Augmentation(config, recipe.training.seed, views, index.image_size)
