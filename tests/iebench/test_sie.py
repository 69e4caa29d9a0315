"""SIE against what the published code computes: tests/data/parity, in float64."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from iebench.methods.sie import SIE, SIEConfig

OUR_NAMES = {
    "projector_inv": "invariant_projector",
    "projector_equi": "equivariant_projector",
    "predictor.hypernet.net.0": "predictor.weights",
}


def published_case(path: Path, groups: list[str]) -> tuple[SIE, dict[str, np.ndarray]]:
    """The method with the published weights, and the file's arrays."""
    arrays = dict(np.load(path, allow_pickle=False))
    config = json.loads(str(arrays["config"]))
    method = SIE(
        SIEConfig(
            groups=groups,
            equivariant_dimension=config["equi"],
            projector=[int(width) for width in config["mlp"].split("-")],
            similarity=config["sim_coeff"],
            equivariance=config["equi_factor"],
            std=config["std_coeff"],
            cov=config["cov_coeff"],
        ),
        config["representation_dim"],
    ).double()
    weights = {}
    for name, value in arrays.items():
        if name.startswith("weight."):
            ours = name.removeprefix("weight.")
            for theirs, replacement in OUR_NAMES.items():
                ours = ours.replace(theirs, replacement)
            weights[ours] = torch.from_numpy(value)
    loaded = method.load_state_dict(weights, strict=False)
    assert not loaded.unexpected_keys
    assert all("running" in key or "num_batches" in key for key in loaded.missing_keys)
    return method, arrays


@pytest.mark.parametrize(("name", "groups"), [("SIE", ["rotation"]), ("SIERotColor", ["rotation", "color"])])
def test_loss_terms_and_gradients_equal_the_published_code_to_1e_8(golden_data, name, groups):
    method, arrays = published_case(golden_data / "parity" / f"{name}.npz", groups)
    first, second = (torch.from_numpy(arrays[f"in.repr_{view}"]).requires_grad_() for view in (1, 2))
    terms = method(first, second, torch.from_numpy(arrays["in.latent"]))
    terms["loss"].backward()
    expected = {key.removeprefix("out."): value for key, value in arrays.items() if key.startswith("out.")}
    assert set(terms) == set(expected)
    for key, value in expected.items():
        assert terms[key].item() == pytest.approx(float(value), rel=1e-8), key
    for view, tensor in ((1, first), (2, second)):
        np.testing.assert_allclose(tensor.grad.numpy(), arrays[f"grad.repr_{view}"], rtol=1e-8, atol=1e-14)


def test_the_parts_cover_the_representation_without_overlap():
    method = SIE(SIEConfig(equivariant_dimension=3, projector=[16, 16]), 8)
    representations = torch.arange(16.0).view(2, 8)
    parts = method.parts(representations)
    assert torch.equal(torch.cat((parts["invariant"], parts["equivariant"]), dim=1), representations)
    assert parts["equivariant"].shape == (2, 3)
