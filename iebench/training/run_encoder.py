"""Encoders made of a run's checkpoints: the trained network, or the one before training."""

from pathlib import Path

from torch import Tensor

from iebench.augmentations.config import AugmentationConfig
from iebench.backbones.encoder import EmbeddingPredictor, Encoder
from iebench.recipes.recipe import Recipe
from iebench.training.model import Model, build_model
from iebench.training.run import Run, load_checkpoint
from shards.errors import IebenchError
from shards.schema import DatasetIndex

CLASSES_KEY = "online.classifiers.representation.bias"
"""Key of a tensor in checkpoints whose length is the number of classes of the training dataset."""


class MethodPredictor(EmbeddingPredictor):
    """Makes the predictor of a run's method available to evaluations.

    Args:
        model: Model of the run, whose method has a predictor.
        augmentation: Section ``[augmentation]`` of the recipe; None if the recipe has none.
    """

    def __init__(self, model: Model, augmentation: AugmentationConfig | None = None) -> None:
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
        return super().transformation(
            first, second if self.parameter_scale is None else self.parameter_scale(second)
        )

    def predict(self, embeddings: Tensor, transformation: Tensor) -> Tensor:
        """Predicts the embeddings of the transformed views."""
        assert self.method.predictor is not None
        return self.method.predictor(embeddings, transformation)


def encoder_of_run(run: Run, checkpoint: Path, index: DatasetIndex) -> Encoder:
    """Loads the network of one checkpoint of a run.

    Args:
        run: Folder of the run.
        checkpoint: File of the checkpoint.
        index: Index of the dataset on which the encoder will be used.

    Raises:
        UsageError: There is no such run or checkpoint, or the dataset lacks a latent that the method is told.
        IebenchError: The checkpoint cannot be read, or does not fit the recipe.
    """
    size = (
        run.dataset().image_size
    )  # images of another size are resized, so the network is built for this one
    model = _restored(checkpoint, run.recipe(), index.model_copy(update={"image_size": size}))
    mean, std = model.channel_mean.flatten().tolist(), model.channel_std.flatten().tolist()
    augmentation = run.recipe().augmentation
    predictor = (
        MethodPredictor(model, augmentation)
        if model.method.predictor is not None and model.method.groups
        else None
    )
    return Encoder(
        model.backbone,
        str(run.folder),
        image_size=size,
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        parts=model.method.parts(),
        predictor=predictor,
    )


def _restored(path: Path, recipe: Recipe, index: DatasetIndex) -> Model:
    """Loads a checkpoint into a model with the normalization and the classes of its training."""
    state = load_checkpoint(path)
    try:
        model = build_model(recipe, index, len(state["model"][CLASSES_KEY]))
        model.load_state_dict(state["model"])
    except (RuntimeError, KeyError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise IebenchError(f"checkpoint {path} does not fit the run's recipe ({first_line})") from None
    return model
