"""Hashes of encoders, so that results and stored features of one are never taken for those of another."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from iebench.backbones.encoder import Encoder


def fingerprint_of_encoder(encoder: Encoder, image_size: int) -> str:
    """Computes the SHA-256 of everything that decides the representations of images of ``image_size`` pixels each way.

    The hash of a module covers its weights, its ``repr``, and how images are prepared for it. That of a function
    without weights covers its name, and its output for two images of noise.
    """
    digest = hashlib.sha256()
    network: object = encoder
    while isinstance(network, Encoder):
        _update(digest, network.image_size, network.mean, network.std)
        network = network.network
    state = network.state_dict() if isinstance(network, nn.Module) else {}
    if state:
        _update(digest, repr(network))
        _update_by_tensors(digest, state)
    else:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randint(256, (2, 3, image_size, image_size), generator=generator, dtype=torch.uint8)
        _update(digest, encoder.name)
        _update_by_tensors(digest, {"vectors": encoder(noise.to(encoder.device))})
    return digest.hexdigest()


def fingerprint_of_network(encoder: Encoder, image_size: int) -> str:
    """Computes the SHA-256 of everything that decides an encoder's scores, which includes its parts and predictor."""
    digest = hashlib.sha256(fingerprint_of_encoder(encoder, image_size).encode())
    _update(digest, sorted(encoder.parts.items()), fingerprint_of_predictor(encoder))
    return digest.hexdigest()


def fingerprint_of_predictor(encoder: Encoder) -> str:
    """Computes the SHA-256 of the predictor; returns an empty string if there is none."""
    if encoder.predictor is None:
        return ""
    digest = hashlib.sha256()
    _update(digest, repr(encoder.predictor), encoder.predictor.groups)
    _update_by_tensors(digest, encoder.predictor.state_dict())
    return digest.hexdigest()


def _update(digest: "hashlib._Hash", *values: object) -> None:
    digest.update(repr(values).encode())


def _update_by_tensors(digest: "hashlib._Hash", tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        _update(digest, name, tuple(tensor.shape), tensor.dtype)
        if tensor.numel():
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
