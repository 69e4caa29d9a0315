"""Writes backbones to files of their own, and loads them as plain modules."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from iebench.backbones.builtin import BackboneConfig, build_backbone
from iebench.backbones.sie_resnet import sie_resnet18, sie_resnet34, sie_resnet50
from iebench.backbones.weights import HEADER_KEY, WeightFile, load_exactly, read_weights
from shards.errors import UsageError

EXPORT_FORMAT = 1
PUBLISHED_MEAN, PUBLISHED_STD = (0.5016, 0.5037, 0.5060), (0.1030, 0.0999, 0.0969)
PUBLISHED_SIZE = 256


class Backbone(nn.Module):
    """A frozen network from normalized float images to vectors.

    Args:
        network: Module from normalized images (batch, 3, size, size) to vectors (batch, dimension).
        image_size: Height and width of the training images in pixels.
        mean: Channel means of images in [0, 1].
        std: Channel standard deviations of images in [0, 1].
        parts: Columns (start, stop) of each named part of the representation.
        channel_order: Order of the channels; ``bgr`` if the network takes images with red and blue swapped, as the
            published ones do.
    """

    def __init__(
        self,
        network: nn.Module,
        image_size: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        parts: dict[str, tuple[int, int]],
        channel_order: str = "rgb",
    ) -> None:
        super().__init__()
        self.network = network
        self.image_size = image_size
        self.mean = mean
        self.std = std
        self.parts = parts
        self.channel_order = channel_order
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Computes representations (batch, dimension) of normalized images (batch, 3, size, size)."""
        return self.network(images)


def export_backbone(run_folder: Path, out: Path) -> None:
    """Writes the backbone of a run as safetensors, with torchvision's names and a header with all that its use needs.

    Raises:
        UsageError: There is no such run, or ``out`` exists or is no ``.safetensors``.
        IebenchError: The checkpoint cannot be read.
    """
    from iebench.training.run import Run
    from iebench.training.run_encoder import encoder_of_run

    if out.exists():
        raise UsageError(f"{out} is there already; delete it or choose another file")
    if out.suffix != ".safetensors":
        raise UsageError(f"{out} has to end in .safetensors, the format that is written")
    run = Run(run_folder)
    encoder = encoder_of_run(run, run.last_checkpoint, run.dataset())
    encoder.try_out(run.dataset().image_size)
    recipe = run.recipe()
    header = {
        "format": EXPORT_FORMAT,
        "backbone": recipe.backbone.model_copy(update={"weights": None}).model_dump(mode="json"),
        "image_size": encoder.image_size,
        "mean": encoder.mean,
        "std": encoder.std,
        "parts": encoder.parts,
        "recipe": recipe.model_dump(mode="json"),
        "data": run.read_config()["data"],
    }
    assert isinstance(encoder.network, nn.Module)
    weights = {name: value.contiguous() for name, value in encoder.network.state_dict().items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    save_file(weights, part, {HEADER_KEY: json.dumps(header)})
    part.replace(out)


def load_backbone(path: Path | str) -> Backbone:
    """Loads a backbone from a file of ``iebench export``, or from a checkpoint of the published code.

    Example::

        backbone = iebench.load_backbone("backbone.safetensors")
        vectors = backbone((images / 255 - mean) / std)    # mean, std: backbone.mean, backbone.std

    Raises:
        UsageError: The file cannot be read, or holds another network; nothing in it is executed.
    """
    file = read_weights(Path(path))
    return _exported(file) if file.header else _published(file)


def _exported(file: WeightFile) -> Backbone:
    header: dict[str, Any] = file.header
    if header.get("format") != EXPORT_FORMAT:
        raise UsageError(
            f"{file.path} is of format {header.get('format')}; this iebench reads {EXPORT_FORMAT}"
        )
    try:
        config = BackboneConfig.model_validate(header["backbone"])
        size = int(header["image_size"])
        parts = {name: (int(start), int(stop)) for name, (start, stop) in header["parts"].items()}
        mean, std = _triple(header["mean"]), _triple(header["std"])
    except (ValidationError, KeyError, TypeError, ValueError, AttributeError):
        raise UsageError(
            f"the header of {file.path} is not one that `iebench export` writes; export it again"
        ) from None
    network = build_backbone(config, size)
    load_exactly(network, file.tensors, str(file.path))
    return Backbone(network, size, mean, std, parts)


def _published(file: WeightFile) -> Backbone:
    """Loads a published network, whose depth follows from the names."""
    tensors = file.backbone()
    if "layer1.0.conv3.weight" in tensors:
        network = sie_resnet50()
    else:
        network = sie_resnet34() if "layer1.2.conv1.weight" in tensors else sie_resnet18()
    load_exactly(network, tensors, str(file.path))
    parts = {}
    invariant = file.tensors.get("module.projector_inv.0.weight")
    equivariant = file.tensors.get("module.projector_equi.0.weight")
    if invariant is not None and equivariant is not None:  # SIE's projectors share the representation out
        split, width = invariant.shape[1], invariant.shape[1] + equivariant.shape[1]
        parts = {"invariant": (0, split), "equivariant": (split, width)}
    return Backbone(network, PUBLISHED_SIZE, PUBLISHED_MEAN, PUBLISHED_STD, parts, "bgr")


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)
