"""Loads encoders of any origin: runs, exported files, torchvision, timm, published checkpoints, functions."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from iebench.backbones.encoder import ALL, Encoder, Normalization
from iebench.backbones.export import load_backbone
from iebench.backbones.weights import WeightFile, load_exactly, read_weights
from shards.errors import UsageError

FORMS = "RUN, FILE.safetensors, torchvision:NAME, timm:NAME, published:FILE or FILE.py:FUNCTION"
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def load_encoder(what: str, *, device: torch.device | str = "cpu", image_size: int | None = None) -> Encoder:
    """Loads an encoder of any origin. Nothing is downloaded, and nothing but weights is unpickled.

    Args:
        what: Folder of a run, file that ``iebench export`` wrote, ``torchvision:NAME`` or ``timm:NAME``, either
            with ``@WEIGHTS``, ``published:FILE`` (a checkpoint of the published code) or ``FILE.py:FUNCTION``.
        device: Device of the encoder.
        image_size: Height and width in pixels to which images are resized; by default the encoder's own.

    Raises:
        UsageError: There is no such encoder, or its weights are of another network.
        IebenchError: A checkpoint cannot be read.
    """
    kind, _, rest = what.partition(":")
    if Path(what).is_dir():
        encoder = _of_run(Path(what))
    elif kind in ("torchvision", "timm"):
        name, _, weights = rest.partition("@")
        encoder = _of_library(what, kind, name, Path(weights) if weights else None)
    elif kind == "published":
        encoder = _of_backbone(what, Path(rest))
    elif what.rpartition(":")[0].endswith(".py"):
        encoder = Encoder(_function(what), what)
    elif Path(what).is_file():
        encoder = _of_backbone(what, Path(what))
    else:
        raise UsageError(f"there is no encoder {what}; it may be {FORMS}")
    if image_size is not None:
        encoder.image_size = image_size
    return encoder.to(device)


def _of_run(folder: Path) -> Encoder:
    from iebench.training.run import Run
    from iebench.training.run_encoder import encoder_of_run

    run = Run(folder)
    return encoder_of_run(run, run.last_checkpoint, run.dataset())


def _of_backbone(what: str, path: Path) -> Encoder:
    backbone = load_backbone(path)
    network: nn.Module = backbone
    mean: Normalization = backbone.mean
    std: Normalization = backbone.std
    if backbone.channel_order == "bgr":  # the published network saw red and blue swapped; images here are RGB
        network, mean, std = _Swapped(backbone), mean[::-1], std[::-1]
    parts = {name: columns for name, columns in backbone.parts.items() if name != ALL}
    return Encoder(network, what, image_size=backbone.image_size, mean=mean, std=std, parts=parts)


class _Swapped(nn.Module):
    """Swaps red and blue of images before a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.flip(1))


def _of_library(what: str, library: str, name: str, weights: Path | None) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        build = _torchvision_network if library == "torchvision" else _timm_network
        network, classifiers, size, mean, std = build(name)
    if weights is None:
        print(
            f"{what} has random weights, because nothing is downloaded; add @FILE to load weights",
            file=sys.stderr,
        )
        return Encoder(network, what, image_size=size, mean=mean, std=std)
    file = read_weights(weights)
    load_exactly(network, _without_classifier(file, network, classifiers), str(weights))
    if header := file.header:
        size, mean, std = header["image_size"], tuple(header["mean"]), tuple(header["std"])
    return Encoder(network, what, image_size=size, mean=mean, std=std)


def _without_classifier(
    file: WeightFile, network: nn.Module, classifiers: tuple[str, ...]
) -> dict[str, Tensor]:
    """Removes the weights of a classifier, which is left out of the network, with a message."""
    own = network.state_dict()
    prefixes = tuple(f"{classifier}." for classifier in classifiers)
    left_out = [name for name in file.tensors if name not in own and name.startswith(prefixes)]
    if left_out:
        print(f"{file.path}: its classifier is left out ({', '.join(left_out)})", file=sys.stderr)
    return {name: value for name, value in file.backbone().items() if name not in left_out}


Built = tuple[nn.Module, tuple[str, ...], int, Normalization, Normalization]
"""Network, prefixes of its classifiers' names, image size, mean, deviation."""


def _torchvision_network(name: str) -> Built:
    names = torchvision.models.list_models(module=torchvision.models)
    if name not in names:
        raise UsageError(f"torchvision has no model {name!r} of images; there are: {', '.join(names)}")
    network = torchvision.models.get_model(name, weights=None)
    transform: Any = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    linear = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise UsageError(f"torchvision:{name} has no linear classifier to take off; choose another model")
    parent, _, last = linear[-1].rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())
    classifiers = (linear[-1], "AuxLogits", "aux1", "aux2")
    return network, classifiers, transform.crop_size[0], tuple(transform.mean), tuple(transform.std)


def _timm_network(name: str) -> Built:
    try:
        import timm
    except ImportError:
        raise UsageError("timm is not installed; pip install 'iebench[timm]'") from None
    if not timm.is_model(name):
        nearest = timm.list_models(f"*{name.split('.')[0][:8]}*")[:5]
        hint = f"; near it are {', '.join(nearest)}" if nearest else ""
        raise UsageError(f"timm has no model {name!r}{hint}")
    network = timm.create_model(name, pretrained=False, num_classes=0)
    facts: Any = network.pretrained_cfg
    classifier = facts.get("classifier") or ()
    classifiers = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    size = facts.get("input_size", (3, 224, 224))[-1]
    mean, std = (facts.get(name, default) for name, default in _IMAGENET.items())
    return network, classifiers, size, tuple(mean), tuple(std)


def _function(what: str) -> Callable[[Tensor], Any]:
    """Loads the function that FILE.py:FUNCTION names, from uint8 images to vectors."""
    file, _, name = what.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a module of the user raises
        raise UsageError(f"{path} cannot be imported ({type(error).__name__}: {error})") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"{path} has no function {name!r}")
    return function
