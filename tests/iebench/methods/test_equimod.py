"""EquiMod as published against what its own code computes, in float64: see tests/data/README.md."""

import json

import numpy as np
import pytest
import torch

from iebench.evaluation.equivariance import equimod_measures
from iebench.methods import Batch, Dimensions, Method, find_method
from parity_files import parity_folder, published_weights

NAMES = {
    "m_proj_head_inv.": "target_projector.",
    "proj_head_inv.": "projector.",
    "predictor_inv.": "prediction.",
    "proj_head_eq.": "equivariant_projector.",
    "proj_head_t.": "predictor.parameters_embedding.",
    "predictor_eq.": "predictor.prediction.",
}
NOTHING = 1e-9  # biases before a batch norm have no gradient; what is left of rounding differs


def ours(name: str) -> str:
    """Our name of a published parameter."""
    prefix = next(prefix for prefix in NAMES if name.startswith(prefix))
    return NAMES[prefix] + name.removeprefix(prefix)


def published_case(base: str) -> tuple[Method, Batch, dict, np.lib.npyio.NpzFile]:
    """Our method with the published weights, its batch, and what the file says of it."""
    arrays = np.load(parity_folder("parity_equimod") / f"{base}.npz", allow_pickle=False)
    config = json.loads(str(arrays["config"]))
    entry = find_method(f"equimod_{base}")
    content = {"name": f"equimod_{base}", "equivariance": config["weight"]}
    content["equivariant_temperature"] = config["temperature_y"]
    if "temperature_z" in config:
        content["temperature"] = config["temperature_z"]
    method = entry.build(entry.config.model_validate(content), Dimensions(512)).double()
    weights = published_weights(config["shapes"], config["salt"])
    weights |= published_weights(config.get("target_shapes", {}), config.get("target_salt", ""))
    loaded = method.load_state_dict({ours(name): value for name, value in weights.items()}, strict=False)
    assert not loaded.unexpected_keys
    assert all("running" in name or "num_batches" in name for name in loaded.missing_keys)
    representations = torch.from_numpy(arrays["in.representations"]).requires_grad_()
    targets = None
    if "in.target_representations" in arrays.files:
        targets = torch.from_numpy(arrays["in.target_representations"]).chunk(2)
    transformations = torch.from_numpy(arrays["in.parameters"]).chunk(2)
    batch = Batch(representations.chunk(3), transformations, None, targets)
    for view in batch.views:
        view.retain_grad()
    return method, batch, config, arrays


@pytest.mark.parametrize("base", ["simclr", "byol"])
def test_losses_and_all_gradients_equal_the_published_code_to_1e_8(base: str):
    method, batch, config, arrays = published_case(base)
    terms = method(batch).terms
    terms["loss"].backward()
    for name, value in (("loss", "loss"), ("repr_loss_inv", "loss_z"), ("repr_loss_equi", "loss_y")):
        assert terms[name].item() == pytest.approx(config["out"][value], rel=1e-8)
    gradient = torch.cat([view.grad for view in batch.views]).numpy()
    np.testing.assert_allclose(gradient, arrays["grad.representations"], rtol=1e-8, atol=1e-14)
    norms = {
        name: value.grad.norm().item() for name, value in method.named_parameters() if value.requires_grad
    }
    assert set(norms) == {ours(name) for name in config["grad_norms"]}
    for name, norm in config["grad_norms"].items():
        assert norms[ours(name)] == pytest.approx(norm, rel=1e-8, abs=NOTHING), name


def test_both_measures_of_equivariance_equal_the_published_code_to_1e_8():
    method, batch, config, _ = published_case("simclr")
    original, *views = method.steered_embeddings(torch.cat(batch.views)).chunk(3)
    predicted = method.predictor(original.repeat(2, 1), torch.cat(batch.transformations))
    absolute, relative = equimod_measures(predicted, torch.cat(views), original.repeat(2, 1))
    assert absolute.mean().item() == pytest.approx(config["out"]["absolute_equivariance"], rel=1e-8)
    assert relative.mean().item() == pytest.approx(config["out"]["relative_equivariance"], rel=1e-8)


def test_barlow_twins_adds_its_own_loss_of_the_augmented_views():
    entry = find_method("equimod_barlow")
    content = {"name": "equimod_barlow", "projector": [8, 4], "equivariant_projector": [8, 4]}
    torch.manual_seed(0)
    method = entry.build(entry.config.model_validate(content), Dimensions(16))
    views = tuple(torch.randn(32, 16) for _ in range(3))
    transformations = tuple(torch.randn(32, 15) for _ in range(2))
    alike = method(Batch((views[0], views[1], views[1]), transformations)).terms["repr_loss_inv"]
    other = method(Batch(views, transformations)).terms["repr_loss_inv"]
    assert alike < 0.1 < other
