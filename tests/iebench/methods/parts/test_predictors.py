import pytest
import torch
from pydantic import ValidationError

from iebench.methods.parts.full_precision import in_float32
from iebench.methods.parts.predictors import (
    HypernetworkPredictor,
    PredictorConfig,
    SteerPredictor,
    build_predictor,
)


def test_a_linear_hypernetwork_gives_each_row_its_own_matrix():
    predictor = HypernetworkPredictor(5, 4).double()
    embeddings, transformation = (torch.randn(7, size, dtype=torch.float64) for size in (5, 4))
    matrices = predictor.weights(transformation).view(7, 5, 5)
    expected = torch.einsum("boi,bi->bo", matrices, embeddings)
    torch.testing.assert_close(predictor(embeddings, transformation), expected)


def test_a_hypernetwork_without_biases_is_linear_in_the_embedding():
    predictor = HypernetworkPredictor(5, 4, PredictorConfig(hidden=[6], hypernetwork_hidden=[3]))
    first, second, transformation = torch.randn(7, 5), torch.randn(7, 5), torch.randn(7, 4)
    together = predictor(first + second, transformation)
    torch.testing.assert_close(together, predictor(first, transformation) + predictor(second, transformation))


def test_steering_begins_near_the_identity_and_applies_a_map_per_group():
    predictor = SteerPredictor(5, ["rotation", "color"]).double()
    embeddings, transformation = (torch.randn(7, size, dtype=torch.float64) for size in (5, 6))
    nothing = predictor(embeddings, torch.zeros(7, 6, dtype=torch.float64))
    torch.testing.assert_close(nothing, embeddings)
    rotate, paint = (linear(part).view(7, 5, 5) for linear, part in zip(
        predictor.maps, transformation.split([4, 2], dim=1), strict=True))  # fmt: skip
    expected = (paint @ rotate @ embeddings[:, :, None]).squeeze(2)
    torch.testing.assert_close(predictor(embeddings, transformation), expected)


@pytest.mark.parametrize("kind", ["hypernetwork", "mlp", "steer"])
@pytest.mark.parametrize(
    ("groups", "told"),
    [(["rotation"], 4), (["rotation", "color", "light", "translation"], 12), (["light"], 3)],
)
def test_the_input_size_follows_the_groups(kind: str, groups: list, told: int):
    predictor = build_predictor(PredictorConfig(kind=kind), 5, groups)
    assert predictor(torch.randn(7, 5), torch.randn(7, told)).shape == (7, 5)


def test_fields_that_a_kind_does_not_have_are_refused():
    with pytest.raises(ValidationError, match="a predictor of kind 'steer' has no hidden"):
        PredictorConfig(kind="steer", hidden=[3])


@pytest.mark.parametrize("kind", ["hypernetwork", "mlp", "steer"])
def test_a_predictor_computes_in_float32_under_autocast(kind: str):
    predictor = build_predictor(PredictorConfig(kind=kind), 8, ["rotation"])
    embeddings = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    transformation = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        predicted = predictor(embeddings, transformation)
    assert torch.equal(predicted, predictor(embeddings.float(), transformation))


def test_products_of_what_must_not_be_rounded_are_without_tf32_where_it_is_on():
    @in_float32
    def products(rows: torch.Tensor) -> torch.Tensor:
        assert torch.get_float32_matmul_precision() == "highest"
        return rows

    torch.set_float32_matmul_precision("high")
    try:
        products(torch.zeros(2))
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
