"""Predictors: from an embedding and a transformation to the embedding of the transformed view."""

import torch
from torch import Tensor, nn


class HypernetworkPredictor(nn.Module):
    """A linear map on embeddings whose weights are a linear function of the transformation.

    This is the predictor of SIE (arXiv 2302.10283, section 4): without any bias, so that the group acts
    linearly on the equivariant embedding.

    Args:
        dimension: of the embeddings.
        transformation_dimension: numbers that describe a transformation: 4 for a rotation (quaternion), 6
            with two differences of hue.
    """

    def __init__(self, dimension: int, transformation_dimension: int) -> None:
        super().__init__()
        self.dimension = dimension
        self.weights = nn.Linear(transformation_dimension, dimension * dimension, bias=False)

    def forward(self, embeddings: Tensor, transformation: Tensor) -> Tensor:
        """Predicts where ``transformation`` takes ``embeddings``.

        Args:
            embeddings: (batch, dimension).
            transformation: (batch, transformation dimension).

        Returns:
            (batch, dimension).
        """
        matrices = self.weights(transformation).view(-1, self.dimension, self.dimension)
        return torch.bmm(matrices, embeddings.unsqueeze(2)).squeeze(2)
