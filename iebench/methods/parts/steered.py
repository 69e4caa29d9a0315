"""What methods share that steer an embedding of the whole representation."""

from torch import Tensor, nn

from iebench.methods.method import Batch, Dimensions, EquivariantConfig, Method
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.predictors import build_predictor
from iebench.methods.parts.projectors import mlp_projector


class SteeringMethod(Method):
    """A projector, and a predictor that steers its embeddings by the transformation.

    Args:
        config: sizes, groups and the predictor's kind.
        dimensions: Dimensions of representations.
    """

    predictor: nn.Module

    def __init__(self, config: EquivariantConfig, dimensions: Dimensions) -> None:
        super().__init__(dimensions, config.projector[-1])
        self.groups = tuple(config.groups)
        self.projector = mlp_projector(dimensions.representation, config.projector)
        self.predictor = build_predictor(config.predictor, config.projector[-1], config.groups)

    def steered_embeddings(self, representations: Tensor) -> Tensor:
        """The embeddings of (batch, dimension) representations."""
        return self.projector(representations)

    def steer(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The embeddings of both views, and the prediction of the second from the first, gathered."""
        first, second = (self.projector(view) for view in (batch.first, batch.second))
        predicted = self.predictor(first, batch.transformation)
        first, second, predicted = gather_each(first, second, predicted)
        return first, second, predicted
