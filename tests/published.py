"""What the published code computes: tests/data/parity, with its names turned into ours."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from iebench.methods import Batch, Dimensions, Method, find_method

SIE = ("sie", ("similarity", "std", "cov", "equivariance"))
METHODS = {
    "SIE": SIE,
    "SIERotColor": SIE,
    "SIENoVar": SIE,
    "SIEOnlyEqui": SIE,
    "VICReg": ("vicreg", ("similarity", "std", "cov")),
    "VICRegPartInv": ("vicreg", ("similarity", "std", "cov")),
    "SimCLR": ("simclr", ("temperature",)),
    "SimCLROnlyEqui": ("simclr_only_equivariant", ("temperature",)),
    "SimCLRAugSelf": ("augself", ("temperature",)),
    "SimCLRAugSelfRotColor": ("augself", ("temperature",)),
    "SimCLREquiMod": ("equimod_simclr_3diebench", ("temperature", "equivariance")),
    "SimCLREquiModRotColor": ("equimod_simclr_3diebench", ("temperature",)),
    "VICRegEquiMod": ("equimod_vicreg_3diebench", ("similarity", "std", "cov", "equivariance")),
}
"""For each published class, our method and the coefficients that it takes from the file."""

COEFFICIENTS = {
    "similarity": "sim_coeff",
    "std": "std_coeff",
    "cov": "cov_coeff",
    "equivariance": "equi_factor",
    "temperature": "simclr_temp",
}
FIXED: dict[str, dict[str, Any]] = {
    "SIENoVar": {"prediction_variance": False},
    "SIEOnlyEqui": {"only_equivariant": True, "equivariance": 1.0},
    "SimCLREquiModRotColor": {"equivariance": 1.0},
}
"""What a published class decides by itself."""

NAMES = {
    "sie": {"projector_inv": "invariant_projector", "projector_equi": "equivariant_projector"},
    "augself": {"projector.": "contrast.projector.", "predictor.": "regressor."},
    "equimod": {"projector_inv.": "base.projector.", "projector_equi.": "projector."},
    "": {"projector_equi": "projector"},
}
PREDICTORS = {"predictor.hypernet.net.": "predictor.weights.", "predictor.pred.": "predictor.layers."}


@dataclass(frozen=True)
class Case:
    """One file: our method with the published weights, and the file's arrays."""

    method: Method
    arrays: dict[str, np.ndarray]

    def inputs(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The representations of both views, which want gradients, and the transformation."""
        first, second = (torch.from_numpy(self.arrays[f"in.repr_{view}"]).requires_grad_() for view in (1, 2))
        return first, second, torch.from_numpy(self.arrays["in.latent"])

    def batch(self) -> Batch:
        """The same as a batch."""
        first, second, transformation = self.inputs()
        return Batch((first, second), (transformation,))

    def expected(self) -> dict[str, float]:
        """The published loss and its terms."""
        return {
            name.removeprefix("out."): float(value)
            for name, value in self.arrays.items()
            if name.startswith("out.")
        }


def read_case(path: Path) -> Case:
    """The method of one parity file, in float64."""
    arrays = dict(np.load(path, allow_pickle=False))
    published = json.loads(str(arrays["config"]))
    ours, coefficients = METHODS[published["method"]]
    content: dict[str, Any] = {
        "name": ours,
        "projector": [int(width) for width in published["mlp"].split("-")],
        **{name: published[COEFFICIENTS[name]] for name in coefficients},
        **FIXED.get(published["method"], {}),
    }
    if ours == "sie":
        content["equivariant_dimension"] = published["equi"]
    if published["method"] == "VICRegPartInv":
        content["free_dimension"] = published["equi"]
    if ours not in ("vicreg", "simclr"):
        content["groups"] = ["rotation"] if arrays["in.latent"].shape[1] == 4 else ["rotation", "color"]
    if any(name.startswith(("weight.predictor.hypernet", "weight.predictor.pred")) for name in arrays):
        content["predictor"] = _predictor(published, arrays)
    entry = find_method(ours)
    method = entry.build(
        entry.config.model_validate(content), Dimensions(published["representation_dim"])
    ).double()
    loaded = method.load_state_dict(_weights(ours, arrays), strict=False)
    assert not loaded.unexpected_keys
    assert all("running" in key or "num_batches" in key for key in loaded.missing_keys), loaded.missing_keys
    return Case(method, arrays)


def _predictor(published: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    if published["predictor_type"] == "mlp":
        return {"kind": "mlp", "hidden": [len(arrays["weight.predictor.pred.0.bias"])]}
    width = arrays["in.latent"].shape[1]
    return {
        "hidden": [int(width) for width in published["predictor"].split("-") if width],
        "relu": published["predictor_relu"],
        "bias": published["bias_pred"],
        "hypernetwork_hidden": [width, width] if published["hypernetwork"] == "deep" else [],
        "hypernetwork_bias": published["bias_hypernet"],
    }


def _weights(method: str, arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    family = next(name for name in NAMES if method.startswith(name))
    weights = {}
    for name, value in arrays.items():
        if name.startswith("weight."):
            ours = name.removeprefix("weight.")
            for theirs, replacement in {**PREDICTORS, **NAMES[family]}.items():
                if ours.startswith(theirs):
                    ours = replacement + ours.removeprefix(theirs)
                    break
            weights[ours] = torch.from_numpy(value)
    return weights
