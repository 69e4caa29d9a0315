"""What every method is: a module over representations, and what training and evaluation ask of it."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from iebench.methods.parts.predictors import PredictorConfig
from iebench.methods.parts.transformations import AUGMENTATION_GROUPS, Group
from shards.errors import UsageError

ENTRY_POINTS = "iebench.methods"
"""The group in which an installed package names its methods."""


class MethodConfig(BaseModel):
    """What a recipe says about a method; subclasses add fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str


class ProjectedConfig(MethodConfig):
    """Of a method whose loss is on embeddings."""

    projector: list[int] = Field(default=[2048, 2048, 2048], min_length=2, description="widths")


class TransformationConfig(MethodConfig):
    """Of a method that is told the transformation between the views."""

    groups: list[Group] = Field(default=["rotation"], min_length=1)


class EquivariantConfig(ProjectedConfig, TransformationConfig):
    """Of a method that steers embeddings by the transformation."""

    predictor: PredictorConfig = PredictorConfig()


@dataclass(frozen=True)
class Dimensions:
    """What a method is built for.

    Attributes:
        representation: dimension of the backbone's output.
        classes: Number of classes of the dataset.
    """

    representation: int
    classes: int = 1


@dataclass(frozen=True)
class Relation:
    """Two views of a draw between which a method is told the transformation.

    Attributes:
        source: Number of the view that the transformation begins at, counted from 0.
        target: Number of the view that it leads to.
        groups: Groups of the transformation, in the order in which their numbers stand side by side.
    """

    source: int
    target: int
    groups: tuple[Group, ...]


class Batch(NamedTuple):
    """One process's share of a batch of draws, as a method sees it.

    Attributes:
        views: For each view of a draw, (batch, dimension) representations; or (batch, dimension, height, width)
            feature maps, where the method wants those.
        told: For each relation of the method, (batch, transformation dimension).
        labels: (batch,) classes.
        targets: The views that the method names as ``target_views``, by the target network; None where there is none.
        latents: For each view, (batch, number of latents) in float64; empty where they are not known.
    """

    views: tuple[Tensor, ...]
    told: tuple[Tensor, ...] = ()
    labels: Tensor | None = None
    targets: tuple[Tensor, ...] | None = None
    latents: tuple[Tensor, ...] = ()

    @property
    def first(self) -> Tensor:
        """The first view."""
        return self.views[0]

    @property
    def second(self) -> Tensor:
        """The second view."""
        return self.views[1]

    @property
    def transformation(self) -> Tensor:
        """What the method is told of its first relation: of a pair, from the first view to the second."""
        return self.told[0]


class Outcome(NamedTuple):
    """What a method makes of a batch.

    Attributes:
        terms: scalars by name; ``loss`` is the one to minimise.
        embeddings: Embeddings of the views, gathered from all processes; None if there are only representations.
    """

    terms: dict[str, Tensor]
    embeddings: tuple[Tensor, ...] | None = None


class Method(nn.Module, ABC):
    """A loss over representations, with the networks that only it needs.

    Args:
        dimensions: what it is built for.
        embedding_dimension: Width of the embeddings that forward returns; 0 if it returns none.

    Attributes:
        view_count: Number of views of an object that it wants of each draw.
        wants_maps: Whether it wants feature maps, as they are before pooling, instead of representations.
        target_views: Numbers of the views that the target network encodes, where there is one.
        groups: Groups of the transformation from the first view to the second that it is told.
        predictor: what steers embeddings by a transformation; None where nothing does.
        base_momentum: Momentum of the target network at the start; None if there is no target network.
    """

    view_count = 2
    wants_maps = False
    target_views: tuple[int, ...] = (0, 1)

    def __init__(self, dimensions: Dimensions, embedding_dimension: int = 0) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.embedding_dimension = embedding_dimension
        self.groups: tuple[Group, ...] = ()
        self.predictor: nn.Module | None = None
        self.base_momentum: float | None = None

    @abstractmethod
    def forward(self, batch: Batch) -> Outcome:
        """The loss, its terms, and the embeddings that they are of."""

    def relations(self) -> tuple[Relation, ...]:
        """What it is told of its views: ``groups`` from the first to the second, or nothing if it has no groups."""
        return (Relation(0, 1, self.groups),) if self.groups else ()

    def wants_original(self) -> bool:
        """Whether the first view is to be the picture without augmentations, where views are made by them."""
        told = {group for relation in self.relations() for group in relation.groups}
        return bool(told & set(AUGMENTATION_GROUPS))

    def parts(self) -> dict[str, tuple[int, int]]:
        """Columns of the representation by the name of the part; ``whole`` first."""
        return {"whole": (0, self.dimensions.representation)}

    def steered_embeddings(self, representations: Tensor) -> Tensor:
        """The embeddings that the predictor steers.

        Args:
            representations: (batch, dimension).
        """
        raise NotImplementedError(f"{type(self).__name__} has a predictor and does not say what it steers")

    def update_targets(self, momentum: float) -> None:
        """Moves target networks of its own after a step; there are none by default."""


class RegisteredMethod(NamedTuple):
    """A method with the class of its section in a recipe."""

    config: type[MethodConfig]
    build: Callable[[Any, Dimensions], Method]


M = TypeVar("M", bound=type[Method])
_METHODS: dict[str, RegisteredMethod] = {}


def register(name: str, config: type[MethodConfig]) -> Callable[[M], M]:
    """Decorates a method so that recipes know it: ``@register("mine", MyConfig)``.

    Args:
        name: Name that recipes write as ``method.name``.
        config: the class of the recipe's section; the method's constructor takes one, and ``Dimensions``.
    """

    def remember(method: M) -> M:
        _METHODS[name] = RegisteredMethod(config, method)
        return method

    return remember


def find_method(name: str) -> RegisteredMethod:
    """The method called ``name``: of this package, registered, or of an installed package's entry point.

    Raises:
        UsageError: there is none.
    """
    if name not in _METHODS:
        for point in entry_points(group=ENTRY_POINTS, name=name):
            point.load()
    if name not in _METHODS:
        (nearest, *_) = difflib.get_close_matches(name, sorted(_METHODS), n=1, cutoff=0.0)
        raise UsageError(
            f"there is no method {name!r}; did you mean {nearest!r}? There are: {', '.join(sorted(_METHODS))}"
        )
    return _METHODS[name]
