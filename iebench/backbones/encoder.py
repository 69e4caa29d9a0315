"""Encoders, which are frozen networks from uint8 images to vectors and all that an evaluation needs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iebench.augmentations.config import AugmentationConfig
from iebench.backbones.library_errors import is_out_of_memory
from iebench.methods.parts.transformations import Group, relative_transformation
from shards.errors import IebenchError, first_line

Normalization = tuple[float, ...]
"""A number for each of red, green and blue, for pixels in [0, 1]."""

ALL = "all"
"""Name of the part that is the whole representation."""


class EmbeddingPredictor(nn.Module, ABC):
    """Moves embeddings by a transformation, as the method of a run was trained to do.

    Attributes:
        groups: Groups of transformations that the predictor is told, in the order of their numbers.
        latent_names: Latents of the views that the run was trained on.
        augmentation: Settings of the augmentations that made these views; None if views are stored.
    """

    augmentation: AugmentationConfig | None = None
    groups: tuple[Group, ...]
    latent_names: tuple[str, ...]

    @abstractmethod
    def embed(self, representations: Tensor) -> Tensor:
        """Embeds representations (batch, dimension) into the space of the predictor."""

    @abstractmethod
    def predict(self, embeddings: Tensor, transformation: Tensor) -> Tensor:
        """Moves embeddings (batch, embedding dimension) by transformations (batch, sum of the groups' dimensions)."""

    def transformation(self, first: Tensor, second: Tensor) -> Tensor:
        """Computes the transformations that the predictor is told, from latents (batch, latents) of two views."""
        return relative_transformation(first, second, self.groups, self.latent_names).float()


class Encoder(nn.Module):
    """A frozen network from uint8 images to vectors, with the size and normalization of its input.

    Any function will do: ``Encoder(lambda images: images.float().mean(dim=(2, 3)), "mean color")``. Every batch is
    checked, so that a broken encoder ends in one sentence and not in a wrong number.

    Args:
        network: Module or function from images (batch, 3, height, width) to vectors (batch, dimension). It gets
            normalized float images if ``mean`` is given, and uint8 images otherwise.
        name: Name of the encoder in messages and results.
        image_size: Height and width in pixels to which images are resized; None leaves their size.
        mean: Channel means of images in [0, 1].
        std: Channel standard deviations of images in [0, 1]; given if ``mean`` is.
        parts: Columns (start, stop) of each named part of the representation; ``all`` is added.
        predictor: Predictor of a trained run; None if there is none.

    Attributes:
        dimension: Width of the representation; None before the first batch.
    """

    channel_mean: Tensor
    channel_std: Tensor
    _marker: Tensor

    def __init__(
        self,
        network: Callable[[Tensor], Any],
        name: str,
        *,
        image_size: int | None = None,
        mean: Normalization | None = None,
        std: Normalization | None = None,
        parts: Mapping[str, tuple[int, int]] | None = None,
        predictor: EmbeddingPredictor | None = None,
    ) -> None:
        super().__init__()
        if (mean is None) != (std is None):
            raise ValueError("mean and std are given together or not at all")
        self.network = network
        self.name = name
        self.image_size = image_size
        self.mean = mean
        self.std = std
        self.predictor = predictor
        self.dimension: int | None = None
        self._own_parts = dict(parts or {})
        if mean is not None and std is not None:
            self.register_buffer("channel_mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
            self.register_buffer("channel_std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_marker", torch.zeros(()), persistent=False)
        self.requires_grad_(False)
        self.eval()

    @property
    def device(self) -> torch.device:
        """Device of the encoder and of the images that it takes."""
        return self._marker.device  # a network that is a function may have no tensor to tell

    @property
    def parts(self) -> dict[str, tuple[int, int]]:
        """Columns (start, stop) of each named part of the representation; ``all`` is the first.

        Raises:
            IebenchError: No batch has been encoded yet; ``try_out`` encodes one.
        """
        if self.dimension is None:
            raise IebenchError(f"the width of {self.name} is not known before its first batch")
        return {ALL: (0, self.dimension), **self._own_parts}

    def train(self, mode: bool = True) -> "Encoder":
        """Stays in evaluation mode, because an encoder is frozen."""
        return super().train(False)

    @torch.no_grad()
    def try_out(self, image_size: int) -> int:
        """Encodes two gray images of a size in pixels, so that an encoder that does not fit fails before a long pass.

        Returns:
            The width of the representation.

        Raises:
            IebenchError: The encoder does not fit such images, or gives no finite vectors.
        """
        gray = torch.full((2, 3, image_size, image_size), 128, dtype=torch.uint8, device=self.device)
        return self(gray).shape[1]

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Encodes images (batch, 3, height, width) uint8 as vectors (batch, dimension) float32.

        Raises:
            IebenchError: The network does not fit the images, or gives no finite vectors of one width.
        """
        try:
            vectors = self.network(self._input(images))
        except IebenchError:
            raise
        except Exception as error:  # whatever a network of someone else raises
            if is_out_of_memory(error):
                raise IebenchError(
                    f"the GPU has no memory left for {len(images)} images of {self.name}; lower "
                    "evaluation.feature_batch_size"
                ) from None
            height, width = self._size_of(images)
            raise IebenchError(
                f"encoder {self.name} fails on images of {height} x {width} px ({type(error).__name__}: "
                f"{first_line(error)}); give it images of the size that it is made for"
            ) from error
        return self._checked(vectors, len(images))

    def _size_of(self, images: Tensor) -> tuple[int, int]:
        if self.image_size is not None:
            return self.image_size, self.image_size
        return images.shape[-2], images.shape[-1]

    def _input(self, images: Tensor) -> Tensor:
        """Resizes and normalizes images for the network."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise IebenchError(
                f"encoder {self.name} takes uint8 images of shape (batch, 3, height, width), not {images.dtype} of "
                f"shape {tuple(images.shape)}"
            )
        size = self._size_of(images)
        is_resized = size != images.shape[-2:]
        if self.mean is None and not is_resized:
            return images
        pixels = images.float()
        if is_resized:
            pixels = F.interpolate(pixels, size=size, mode="bilinear", antialias=True)
        if self.mean is None:
            return pixels.round().to(torch.uint8)
        normalized = (pixels / 255 - self.channel_mean) / self.channel_std
        return normalized.contiguous(memory_format=torch.channels_last)

    def _checked(self, vectors: Any, count: int) -> Tensor:
        """Returns the vectors as float32 after checking their shape and that they are finite."""
        if not isinstance(vectors, Tensor):
            raise IebenchError(
                f"encoder {self.name} gives a {type(vectors).__name__}; it has to give a tensor (batch, dimension)"
            )
        if vectors.ndim != 2 or len(vectors) != count or not vectors.shape[1]:
            raise IebenchError(
                f"encoder {self.name} gives a tensor of shape {tuple(vectors.shape)} for {count} images; it has to "
                f"give one vector for each: ({count}, dimension)"
            )
        width = vectors.shape[1]
        if self.dimension is None:
            self._check_parts(width)
            self.dimension = width
        elif width != self.dimension:
            raise IebenchError(
                f"encoder {self.name} gives vectors of {width} numbers after vectors of {self.dimension}; all have "
                "to be of one width"
            )
        vectors = vectors.float()
        if not torch.isfinite(vectors).all():
            raise IebenchError(
                f"encoder {self.name} gives NaN or infinite numbers; check its weights and its normalization"
            )
        return vectors

    def _check_parts(self, width: int) -> None:
        for part, (start, stop) in self._own_parts.items():
            if not 0 <= start < stop <= width:
                raise IebenchError(
                    f"encoder {self.name} gives vectors of {width} numbers, which have no columns {start} to {stop} "
                    f"for its part {part!r}"
                )
