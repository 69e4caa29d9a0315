"""Every method against what the published code computes, in float64: see tests/data/README.md."""

from pathlib import Path

import numpy as np
import pytest

from parity_files import parity_folder
from published import METHODS, read_case

FILES = sorted(path for path in parity_folder("parity").glob("*.npz") if "retrieval" not in path.stem)
VARIANTS = {
    "SIE_deep_hypernet",
    "SIE_mlp_predictor",
    "SimCLREquiMod_mlp_predictor",
    "VICRegEquiMod_mlp_predictor",
}


def test_there_is_a_file_for_every_published_method():
    assert {*METHODS, *VARIANTS} <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_loss_terms_and_gradients_equal_the_published_code_to_1e_8(path: Path):
    case = read_case(path)
    batch = case.batch()
    terms = case.method(batch).terms
    terms["loss"].backward()
    for name, value in case.expected().items():
        assert terms[name].item() == pytest.approx(value, rel=1e-8), name
    for view, tensor in ((1, batch.first), (2, batch.second)):
        np.testing.assert_allclose(
            tensor.grad.numpy(), case.arrays[f"grad.repr_{view}"], rtol=1e-8, atol=1e-14
        )
