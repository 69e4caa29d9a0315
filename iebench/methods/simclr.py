"""SimCLR (Chen et al., ICML 2020, arXiv 2002.05709), and the same contrast between prediction and second view."""

from iebench.methods.method import Batch, Dimensions, Method, MethodConfig, Outcome, register
from iebench.methods.parts.fields import Groups, Temperature, Widths
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import contrastive_loss
from iebench.methods.parts.predictors import PredictorConfig
from iebench.methods.parts.projectors import mlp_projector
from iebench.methods.parts.steered import SteeringMethod


class SimCLRConfig(MethodConfig):
    """Fields of SimCLR in a recipe; the temperature is that of the SIE paper."""

    projector: Widths = [2048, 2048, 2048]
    temperature: Temperature = 0.1


@register("simclr", SimCLRConfig)
class SimCLR(Method):
    """Contrasts each embedding's partner, the other view of its object, with all embeddings of the batch."""

    title = "SimCLR"

    def __init__(self, config: SimCLRConfig, dimensions: Dimensions) -> None:
        super().__init__(dimensions, config.projector[-1])
        self.temperature = config.temperature
        self.projector = mlp_projector(dimensions.representation, config.projector)

    def forward(self, batch: Batch) -> Outcome:
        """Computes the loss: NT-Xent of both views."""
        first, second = gather_each(*(self.projector(view) for view in batch.views))
        return Outcome({"loss": contrastive_loss(first, second, self.temperature)}, (first, second))


class SimCLROnlyEquivariantConfig(MethodConfig):
    """Fields of SimCLR with the predictor only in a recipe; the temperature is that of the SIE paper."""

    projector: Widths = [2048, 2048, 2048]
    temperature: Temperature = 0.1
    groups: Groups = ["rotation"]
    predictor: PredictorConfig = PredictorConfig()


@register("simclr_only_equivariant", SimCLROnlyEquivariantConfig)
class SimCLROnlyEquivariant(SteeringMethod):
    """Steers the first view's embedding, and contrasts the second view's with all embeddings of the batch."""

    title = "SimCLR with the predictor only"
    baseline = "simclr"

    def __init__(self, config: SimCLROnlyEquivariantConfig, dimensions: Dimensions) -> None:
        super().__init__(dimensions, config.projector, config.groups, config.predictor)
        self.temperature = config.temperature

    def forward(self, batch: Batch) -> Outcome:
        """Computes the loss: NT-Xent between prediction and second view."""
        first, second, predicted = self.steer(batch)
        return Outcome({"loss": contrastive_loss(predicted, second, self.temperature)}, (first, second))
