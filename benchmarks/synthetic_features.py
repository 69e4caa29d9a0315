"""Features and a predictor of published sizes without images: views that hold class, pose and colors under noise."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iebench.backbones.encoder import EmbeddingPredictor
from iebench.evaluation.features import Features
from iebench.evaluation.probes import ProbeInput
from iebench.methods.parts.predictors import HypernetworkPredictor
from shards.variants import VARIANTS

LATENTS = [latent.name for latent in VARIANTS["3diebench"]]
CLASSES, VIEWS = 55, 50


class SyntheticPredictor(EmbeddingPredictor):
    """A linear hypernetwork behind a linear projector, as large as SIE's."""

    def __init__(self, dimension: int, embedding: int) -> None:
        super().__init__()
        self.groups = ("rotation",)
        self.latent_names = tuple(LATENTS)
        self.projector = nn.Linear(dimension, embedding)
        self.hypernetwork = HypernetworkPredictor(embedding, 4)

    def embed(self, representations: Tensor) -> Tensor:
        return self.projector(representations)

    def predict(self, embeddings: Tensor, transformation: Tensor) -> Tensor:
        return self.hypernetwork(embeddings, transformation)


def synthetic_features(objects: int, dimension: int, seed: int) -> Features:
    """Views that hold class, pose and colors through a random network, under noise."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.Generator().manual_seed(77)
    labels = torch.randint(CLASSES, (objects,), generator=generator)
    latents = (torch.rand(objects, VIEWS, len(LATENTS), generator=generator, dtype=torch.float64) - 0.5) * 2
    classes = F.one_hot(labels, CLASSES).float()[:, None].expand(-1, VIEWS, -1)
    known = torch.cat((2 * classes, 2 * latents.float()), dim=2)
    hidden = torch.tanh(known @ torch.randn(known.shape[2], dimension, generator=mixing) / 2)
    noise = 0.3 * torch.randn(objects, VIEWS, dimension, generator=generator)
    names = [("synthetic", str(number)) for number in range(objects)]
    return Features((hidden + noise).half(), latents, labels, names)


def synthetic_inputs(train: int, val: int) -> dict[str, ProbeInput]:
    """Features of two networks of the same views, of which the untrained one holds less."""

    def noisy(features: Features, seed: int) -> Features:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(features.representations.shape, generator=generator)
        return replace(features, representations=(features.representations + noise).half())

    trained = ProbeInput(synthetic_features(train, 512, 0), synthetic_features(val, 512, 1))
    return {"trained": trained, "untrained": ProbeInput(noisy(trained.train, 2), noisy(trained.val, 3))}
