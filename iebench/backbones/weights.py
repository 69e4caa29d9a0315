"""Reads weight files without executing anything in them, and loads either all of a file or nothing."""

import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from shards.errors import UsageError, first_line

HEADER_KEY = "iebench"
"""The entry of a safetensors header in which ``iebench export`` says what the weights are."""

_NAMED = 4


@dataclass(frozen=True)
class WeightFile:
    """All tensors of a file by their names in it, and the header by ``iebench export``, which other files lack."""

    path: Path
    tensors: dict[str, Tensor]
    header: dict[str, Any]

    def backbone(self) -> dict[str, Tensor]:
        """Returns the tensors of the backbone by the names of its parameters.

        A checkpoint of a whole model has them under ``module.backbone.`` or ``backbone.``, beside the tensors of
        projectors and predictors; a state dict of a backbone has no others.
        """
        for prefix in ("module.backbone.", "backbone.", "module."):
            found = {name: value for name, value in self.tensors.items() if name.startswith(prefix)}
            if found:
                return {name.removeprefix(prefix): value for name, value in found.items()}
        return self.tensors


def read_weights(path: Path) -> WeightFile:
    """Reads a safetensors file, or a PyTorch file with ``weights_only``, so that nothing in it is executed.

    Raises:
        UsageError: The file is missing, is cut short, or holds something else than weights.
    """
    if not path.is_file():
        raise UsageError(f"there is no weights file {path}")
    with path.open("rb") as stream:
        start = stream.read(9)
    if path.suffix == ".safetensors" or start[8:] == b"{":
        return _read_safetensors(path)
    return WeightFile(path, _tensors_of(_unpickled(path), path), {})


def load_exactly(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Loads weights into a network if every name and every shape fits, and changes nothing otherwise.

    The batch counters of batch norms may be missing, because nothing depends on them.

    Args:
        network: Network that gets the weights.
        tensors: Weights by the network's names.
        source: Name of the weights in messages.

    Raises:
        UsageError: A name is missing or unexpected, or a shape differs; the message has the names.
    """
    own = network.state_dict()
    counters = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")}
    problems = {
        "missing": [name for name in own if name not in tensors and name not in counters],
        "unexpected": [name for name in tensors if name not in own],
        "of another shape": [
            f"{name} {tuple(value.shape)} instead of {tuple(own[name].shape)}"
            for name, value in tensors.items()
            if name in own and value.shape != own[name].shape
        ],
    }
    found = [f"{problem} {_listed(names)}" for problem, names in problems.items() if names]
    if found:
        raise UsageError(f"{source} holds the weights of another network: {'; '.join(found)}")
    network.load_state_dict({**counters, **tensors})


def _listed(names: list[str]) -> str:
    """Lists names in words: ``conv1.weight, bn1.weight, fc.weight, fc.bias and 3 more``."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _read_safetensors(path: Path) -> WeightFile:
    try:
        with safe_open(path, framework="pt") as content:
            metadata = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118, no mapping
        header = json.loads(metadata.get(HEADER_KEY, "{}"))
    except (SafetensorError, ValueError) as error:
        raise UsageError(
            f"{path} is no whole safetensors file ({first_line(error)}); copy it again"
        ) from None
    return WeightFile(path, tensors, header if isinstance(header, dict) else {})


def _unpickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # the error says what the warning would
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UsageError(
            f"{path} is a pickle of more than weights, or cut short, and nothing in it was run; save the network's "
            "state_dict(), as safetensors or with torch.save"
        ) from None
    except (RuntimeError, EOFError, ValueError, LookupError, OSError, AttributeError, TypeError) as error:
        raise UsageError(f"{path} is no whole weights file ({first_line(error)}); copy it again") from None


def _tensors_of(content: Any, path: Path) -> dict[str, Tensor]:
    for container in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    is_mapping = isinstance(content, Mapping) and len(content) > 0
    if not is_mapping or not all(isinstance(value, Tensor) for value in content.values()):
        raise UsageError(
            f"{path} holds no state dict: a mapping of names to tensors, alone or as its `model`"
        )
    return dict(content)
