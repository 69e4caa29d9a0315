"""The base class of methods, the batches that methods get, and the registry in which recipes find them."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import ClassVar, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from iebench.methods.parts.transformations import AUGMENTATION_GROUPS, Group
from shards.errors import UsageError


class MethodConfig(BaseModel):
    """The section ``[method]`` of a recipe. Each method has one subclass with all of its fields and defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(description="name under which the method is registered")


@dataclass(frozen=True)
class Dimensions:
    """Sizes that the backbone and the dataset give to a method.

    Attributes:
        representation: Width of the backbone's output.
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
        views: Representations (batch, dimension) of each view of the draws; feature maps (batch, dimension, height,
            width) if the method sets ``wants_maps``.
        transformations: Transformations (batch, transformation dimension) of each of the method's relations.
        labels: Classes (batch,).
        targets: Representations of ``target_views`` by the target network; None if the method has none.
        latents: Latents (batch, number of latents) of each view, in float64; empty if they are not known.
    """

    views: tuple[Tensor, ...]
    transformations: tuple[Tensor, ...] = ()
    labels: Tensor | None = None
    targets: tuple[Tensor, ...] | None = None
    latents: tuple[Tensor, ...] = ()

    @property
    def first(self) -> Tensor:
        """The first view's representations."""
        return self.views[0]

    @property
    def second(self) -> Tensor:
        """The second view's representations."""
        return self.views[1]

    @property
    def transformation(self) -> Tensor:
        """The transformations of the first relation; for a pair, from the first view to the second."""
        return self.transformations[0]


class Outcome(NamedTuple):
    """The loss of a batch and the embeddings that it was computed from.

    Attributes:
        terms: Scalars by name. The training minimizes ``loss`` and logs all of them.
        embeddings: Embeddings of the views, gathered from all processes; None if there are only representations.
    """

    terms: dict[str, Tensor]
    embeddings: tuple[Tensor, ...] | None = None


class Method(nn.Module, ABC):
    """A loss over representations, together with the networks that this loss needs.

    Args:
        dimensions: Sizes that the backbone and the dataset give.
        embedding_dimension: Width of the embeddings that forward returns; 0 if it returns none.

    Attributes:
        title: Name of the method in reports; empty to show the name that recipes use.
        baseline: Registered name of the invariant method that this one is compared with; empty if there is none.
        term_names: Words that reports show for the terms of the loss, by the terms' names.
        view_count: Number of views in each draw.
        wants_maps: Whether the method takes feature maps, as they are before pooling, instead of representations.
        target_views: Numbers of the views that the target network encodes, if there is one.
        groups: Groups of the transformation from the first view to the second that the method is told.
        predictor: Module that steers embeddings by a transformation; None if there is none.
        base_momentum: Momentum of the target network at the start; None if there is no target network.
    """

    title = ""
    baseline = ""
    term_names: ClassVar[Mapping[str, str]] = {}
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
        """Computes the loss, its terms and the embeddings."""

    def relations(self) -> tuple[Relation, ...]:
        """Returns the pairs of views between which the method is told a transformation.

        By default this is ``groups`` from the first view to the second, or nothing if the method has no groups.
        """
        return (Relation(0, 1, self.groups),) if self.groups else ()

    def wants_original(self) -> bool:
        """Returns whether the first of several augmented views has to be the picture without augmentations."""
        groups = {group for relation in self.relations() for group in relation.groups}
        return bool(groups & set(AUGMENTATION_GROUPS))

    def parts(self) -> dict[str, tuple[int, int]]:
        """Returns the columns (start, stop) of each named part of the representation; empty if it has no parts."""
        return {}

    def steered_embeddings(self, representations: Tensor) -> Tensor:
        """Returns the embeddings of representations (batch, dimension) that the predictor steers.

        Raises:
            NotImplementedError: The method sets a predictor and does not override this.
        """
        raise NotImplementedError(f"{type(self).__name__} has a predictor and does not say what it steers")

    def update_targets(self, momentum: float) -> None:
        """Moves the method's own target networks after a step; by default there are none."""


class RegisteredMethod(NamedTuple):
    """A method's class, and the class of its section in a recipe."""

    config: type[MethodConfig]
    method: type[Method]

    def build(self, config: MethodConfig, dimensions: Dimensions) -> Method:
        """Creates the method with its networks; ``config`` is an instance of this method's own class."""
        return self.method(config, dimensions)  # type: ignore[arg-type]


M = TypeVar("M", bound=type[Method])
_METHODS: dict[str, RegisteredMethod] = {}


def register(name: str, config: type[MethodConfig]) -> Callable[[M], M]:
    """Makes a method known to recipes when used as a decorator: ``@register("mine", MyConfig)``.

    Args:
        name: Name that recipes write as ``method.name``.
        config: Class of the recipe's section. The method's constructor takes an instance of it, and ``Dimensions``.
    """

    def remember(method: M) -> M:
        _METHODS[name] = RegisteredMethod(config, method)
        return method

    return remember


def method_names() -> list[str]:
    """Lists the names of all registered methods."""
    return sorted(_METHODS)


def find_method(name: str) -> RegisteredMethod:
    """Finds a method among the registered ones and the entry points of installed packages.

    Raises:
        UsageError: There is no method of this name.
    """
    if name not in _METHODS:
        for point in entry_points(group="iebench.methods", name=name):
            point.load()
    if name not in _METHODS:
        names = method_names()
        (nearest,) = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
        raise UsageError(
            f"there is no method {name!r}; did you mean {nearest!r}? There are: {', '.join(names)}"
        )
    return _METHODS[name]
