"""The base class of methods that steer embeddings of the whole representation."""

from collections.abc import Sequence

from torch import Tensor, nn

from iebench.methods.method import Batch, Dimensions, Method
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.predictors import PredictorConfig, build_predictor
from iebench.methods.parts.projectors import mlp_projector
from iebench.methods.parts.transformations import Group


class SteeringMethod(Method):
    """A projector, and a predictor that steers its embeddings by the transformation.

    Args:
        dimensions: Sizes of the representations.
        projector: Widths of the projector's layers; without any, representations are steered.
        groups: Groups of the transformations that the predictor is told.
        predictor: Fields of the predictor.
    """

    predictor: nn.Module

    def __init__(
        self,
        dimensions: Dimensions,
        projector: Sequence[int],
        groups: Sequence[Group],
        predictor: PredictorConfig,
    ) -> None:
        width = projector[-1] if projector else dimensions.representation
        super().__init__(dimensions, width)
        self.groups = tuple(groups)
        self.projector = mlp_projector(dimensions.representation, projector) if projector else nn.Identity()
        self.predictor = build_predictor(predictor, width, groups)

    def steered_embeddings(self, representations: Tensor) -> Tensor:
        return self.projector(representations)

    def steer(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the embeddings of both views, and the prediction of the second from the first, all gathered."""
        first, second = (self.projector(view) for view in batch.views)
        predicted = self.predictor(first, batch.transformation)
        first, second, predicted = gather_each(first, second, predicted)
        return first, second, predicted
