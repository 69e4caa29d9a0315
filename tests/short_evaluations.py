"""Short evaluations of an encoder without weights."""

from torch import Tensor, nn

from iebench.evaluation import EvaluationConfig
from iebench.evaluation.results import Evaluation

SHORT = EvaluationConfig(epochs=2, linear_color_epochs=2, hidden_width=8, workers=0)
PROBED = {
    "classification",
    "classification_1pct",
    "classification_10pct",
    "rotation",
    "color",
    "color_linear",
}
PROBED |= {"light", "pose", "latents", "classification_knn"}


def mean_colors(images: Tensor) -> Tensor:
    """An encoder without weights: the mean color of each quarter of an image."""
    return nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)


def values(evaluation: Evaluation) -> dict[str, float | None]:
    return {score.stored_name: score.estimate.value for score in evaluation.scores}
