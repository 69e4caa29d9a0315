"""Encoders made of a run's checkpoints: the trained network, or the one before training."""

from pathlib import Path

from torch import Tensor

from iebench.augmentations.config import AugmentationConfig
from iebench.backbones.encoder import EmbeddingPredictor, Encoder
from iebench.recipes.recipe import Recipe
from iebench.training.model import Model, build_model
from iebench.training.run import Run, load_checkpoint
from shards.errors import IebenchError, first_line
from shards.schema import DatasetIndex


class MethodPredictor(EmbeddingPredictor):
    """Makes the predictor of a run's method available to evaluations."""

    def __init__(self, model: Model, augmentation: AugmentationConfig | None) -> None:
        super().__init__()
        self.method = model.method
        self.augmentation = augmentation
        self.parameter_scale = model.parameter_scale
        self.groups = model.method.groups
        self.latent_names = tuple(model.latent_names)

    def embed(self, representations: Tensor) -> Tensor:
        """Embeds (batch, dimension) representations as the method does."""
        return self.method.steered_embeddings(representations)

    def transformation(self, first: Tensor, second: Tensor) -> Tensor:
        """Computes what the predictor is told of two views; parameters of augmentations are standardized."""
        if self.parameter_scale is not None:
            second = self.parameter_scale(second)
        return super().transformation(first, second)

    def predict(self, embeddings: Tensor, transformation: Tensor) -> Tensor:
        """Predicts the embeddings of the transformed views."""
        assert self.method.predictor is not None
        return self.method.predictor(embeddings, transformation)


def encoder_of_run(run: Run, checkpoint: Path, index: DatasetIndex) -> Encoder:
    """Loads the network of one checkpoint of a run, to be used on the dataset of ``index``.

    Raises:
        UsageError: There is no such run or checkpoint, or the dataset lacks a latent that the method is told.
        IebenchError: The checkpoint cannot be read, or does not fit the recipe.
    """
    size = run.dataset().image_size  # the network is built for this size, to which others are resized
    recipe = run.recipe()
    model = _restored(checkpoint, recipe, index.model_copy(update={"image_size": size}))
    has_predictor = model.method.predictor is not None and model.method.groups
    return Encoder(
        model.backbone,
        str(run.folder),
        image_size=size,
        mean=tuple(model.channel_mean.flatten().tolist()),
        std=tuple(model.channel_std.flatten().tolist()),
        parts=model.method.parts(),
        predictor=MethodPredictor(model, recipe.augmentation) if has_predictor else None,
    )


def _restored(path: Path, recipe: Recipe, index: DatasetIndex) -> Model:
    """Loads a checkpoint into a model with the normalization and the classes of its training."""
    state = load_checkpoint(path)
    try:
        classes = len(state["model"]["online.classifiers.representation.bias"])
        model = build_model(recipe, index, classes)
        model.load_state_dict(state["model"])
    except (RuntimeError, KeyError) as error:
        raise IebenchError(f"checkpoint {path} does not fit the run's recipe ({first_line(error)})") from None
    return model
