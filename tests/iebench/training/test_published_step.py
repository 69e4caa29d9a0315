"""A whole SIE step from uint8 images against the published code, in float64: see tests/data/README.md."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from iebench.recipes.recipe import load_recipe
from iebench.training.model import Model, build_model
from parity_files import parity_folder, published_weights
from toys import make_toy_dataset

FILES = sorted(parity_folder("parity_images").glob("SIE*.npz"))
PUBLISHED_MEAN, PUBLISHED_STD = (0.5016, 0.5037, 0.5060), (0.1030, 0.0999, 0.0969)
OUR_NAMES = {
    "backbone.": "backbone.",
    "projector_inv.": "method.invariant_projector.",
    "projector_equi.": "method.equivariant_projector.",
    "predictor.hypernet.net.": "method.predictor.weights.",
}
NOTHING = 1e-9  # biases before a batch norm have no gradient; what is left of rounding differs


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def ours(published: str) -> str:
    """Our name of a published parameter."""
    prefix = next(prefix for prefix in OUR_NAMES if published.startswith(prefix))
    return OUR_NAMES[prefix] + published.removeprefix(prefix)


def published_model(config: dict, size: int, folder: Path) -> Model:
    """The model of the recipe ``sie`` with the sizes, coefficients and weights of a file."""
    sizes = {
        "method.projector": [int(width) for width in config["mlp"].split("-")],
        "method.equivariant_dimension": config["equi"],
        **{f"method.{name}": value for name, value in config["coefficients"].items()},
    }
    recipe = load_recipe("sie", [f"{field}={value}" for field, value in sizes.items()])
    index = make_toy_dataset(folder).model_copy(
        update={"image_size": size, "channel_mean": PUBLISHED_MEAN, "channel_std": PUBLISHED_STD}
    )
    model = build_model(recipe, index)
    weights = {
        ours(name): value for name, value in published_weights(config["shapes"], config["salt"]).items()
    }
    loaded = model.load_state_dict(weights, strict=False)
    assert not loaded.unexpected_keys
    left_out = ("online.", "channel_")
    assert all(
        name.startswith(left_out) or "num_batches" in name or "running" in name
        for name in loaded.missing_keys
    )
    return model.train()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_step_from_images_equals_the_published_code_to_1e_8(path: Path, tmp_path: Path, float64: None):
    arrays = np.load(path, allow_pickle=False)
    config = json.loads(str(arrays["config"]))
    views = tuple(torch.from_numpy(arrays[f"in.view_{view}"]) for view in (1, 2))
    model = published_model(config, views[0].shape[-1], tmp_path / "views")
    latents = tuple(
        torch.cat((torch.from_numpy(arrays[f"in.angles_{view}"]), torch.zeros(len(views[0]), 4)), dim=1)
        for view in (1, 2)
    )
    outcome = model(views, latents, torch.zeros(len(views[0]), dtype=torch.int64))
    outcome.loss.backward()

    assert outcome.terms["loss"].item() == pytest.approx(float(arrays["out.loss"]), rel=1e-8)
    for name, value in outcome.terms.items():
        if name in config["terms"]:
            assert value.item() == pytest.approx(config["terms"][name], rel=1e-8), name
    gradients = {
        name: value.grad.norm().item() for name, value in model.named_parameters() if value.grad is not None
    }
    for name, norm in config["grad_norms"].items():
        assert gradients[ours(name)] == pytest.approx(norm, rel=1e-8, abs=NOTHING), name


def test_there_is_a_file_of_a_whole_step():
    assert "SIE" in {path.stem for path in FILES}
