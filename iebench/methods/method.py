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
from iebench.methods.parts.transformations import Group
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


class ToldConfig(MethodConfig):
    """Of a method that is told the transformation between the views."""

    groups: list[Group] = Field(default=["rotation"], min_length=1)


class EquivariantConfig(ProjectedConfig, ToldConfig):
    """Of a method that steers embeddings by the transformation."""

    predictor: PredictorConfig = PredictorConfig()


@dataclass(frozen=True)
class Sizes:
    """What a method is built for.

    Attributes:
        representation: dimension of the backbone's output.
        classes: Number of classes of the dataset.
    """

    representation: int
    classes: int = 1


class Batch(NamedTuple):
    """One process's share of a batch of pairs of views, as a method sees it.

    Attributes:
        first: (batch, dimension) representations of the first views.
        second: (batch, dimension) representations of the second views.
        transformation: (batch, transformation dimension) from the first to the second; None where the method
            names no groups.
        labels: (batch,) classes.
        targets: both views' representations by the target network; None where the method wants none.
    """

    first: Tensor
    second: Tensor
    transformation: Tensor | None = None
    labels: Tensor | None = None
    targets: tuple[Tensor, Tensor] | None = None


class Outcome(NamedTuple):
    """What a method makes of a batch.

    Attributes:
        terms: scalars by name; ``loss`` is the one to minimise.
        embeddings: Embeddings of both views, gathered from all processes; None if there are only representations.
    """

    terms: dict[str, Tensor]
    embeddings: tuple[Tensor, Tensor] | None = None


class Method(nn.Module, ABC):
    """A loss over representations, with the networks that only it needs.

    Args:
        sizes: what it is built for.
        embedding_dimension: Width of the embeddings that forward returns; 0 if it returns none.

    Attributes:
        groups: the transformations that it is told.
        predictor: what steers embeddings by a transformation; None where nothing does.
        base_momentum: Momentum of the target network at the start; None if there is no target network.
    """

    def __init__(self, sizes: Sizes, embedding_dimension: int = 0) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding_dimension = embedding_dimension
        self.groups: tuple[Group, ...] = ()
        self.predictor: nn.Module | None = None
        self.base_momentum: float | None = None

    @abstractmethod
    def forward(self, batch: Batch) -> Outcome:
        """The loss, its terms, and the embeddings that they are of."""

    def parts(self) -> dict[str, tuple[int, int]]:
        """Columns of the representation by the name of the part; ``whole`` first."""
        return {"whole": (0, self.sizes.representation)}

    def steered_embeddings(self, representations: Tensor) -> Tensor:
        """The embeddings that the predictor steers.

        Args:
            representations: (batch, dimension).
        """
        raise NotImplementedError(f"{type(self).__name__} has a predictor and does not say what it steers")

    def follow(self, momentum: float) -> None:
        """Moves target networks of its own after a step; there are none by default."""


class Entry(NamedTuple):
    """A method with the class of its section in a recipe."""

    config: type[MethodConfig]
    build: Callable[[Any, Sizes], Method]


M = TypeVar("M", bound=type[Method])
_METHODS: dict[str, Entry] = {}


def register(name: str, config: type[MethodConfig]) -> Callable[[M], M]:
    """Decorates a method so that recipes know it: ``@register("mine", MyConfig)``.

    Args:
        name: Name that recipes write as ``method.name``.
        config: the class of the recipe's section; the method's constructor takes one, and ``Sizes``.
    """

    def remember(method: M) -> M:
        _METHODS[name] = Entry(config, method)
        return method

    return remember


def find_method(name: str) -> Entry:
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
