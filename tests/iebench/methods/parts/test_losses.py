from collections.abc import Callable
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F

from iebench.methods.parts.losses import (
    alignment_loss,
    collapse_terms,
    contrastive_loss,
    covariance_loss,
    invariance_loss,
    uniformity_loss,
    variance_loss,
)

CRITERIA: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "invariance": invariance_loss,
    "variance": lambda first, second: variance_loss(first),
    "covariance": lambda first, second: covariance_loss(first),
    "contrastive": lambda first, second: contrastive_loss(first, second, 0.1),
    "alignment": alignment_loss,
    "uniformity": lambda first, second: uniformity_loss(first),
}


def drawn(rows: int = 32, dimension: int = 8, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(rows, dimension, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for _ in range(2)
    ]


def with_gradients(loss: torch.Tensor, views: list[torch.Tensor]) -> list[torch.Tensor]:
    return [loss.detach(), *torch.autograd.grad(loss, views)]


def test_variance_loss_is_zero_where_every_dimension_deviates_by_one_or_more():
    embeddings = 3 * torch.randn(512, 8, generator=torch.Generator().manual_seed(0))
    assert variance_loss(embeddings).item() == 0


def test_variance_loss_of_collapsed_embeddings_is_finite_with_a_finite_gradient():
    embeddings = torch.ones(16, 4, requires_grad=True)
    loss = variance_loss(embeddings)
    loss.backward()
    assert loss.item() == pytest.approx(1 - 1e-4**0.5)
    assert torch.isfinite(embeddings.grad).all()


def test_covariance_loss_counts_each_pair_of_dimensions_twice_over_the_dimension():
    first = torch.tensor([1.0, -1.0, 2.0, -2.0])
    embeddings = torch.stack((first, 3 * first), dim=1)
    covariance = (first * 3 * first).sum() / 3
    assert covariance_loss(embeddings).item() == pytest.approx((2 * covariance**2 / 2).item())


@pytest.fixture(scope="module")
def lightly_losses() -> ModuleType:
    """The module ``lightly.loss``, which takes seconds to import, so that collecting tests does not wait for it."""
    import lightly.loss

    return lightly.loss


def test_invariance_loss_is_the_mean_over_batch_and_dimension():
    assert invariance_loss(torch.zeros(4, 2), torch.full((4, 2), 3.0)).item() == 9


def test_statistics_are_computed_in_float32_of_half_precision_embeddings():
    embeddings = torch.randn(64, 8, dtype=torch.bfloat16)
    assert {loss(embeddings).dtype for loss in (variance_loss, covariance_loss)} == {torch.float32}


@pytest.mark.slow
def test_vicreg_equals_the_implementation_in_lightly(lightly_losses: ModuleType):
    views = drawn()
    terms = {"repr_loss_inv": invariance_loss(*views), **collapse_terms(views)}
    ours = 25 * terms["repr_loss_inv"] + 24 * terms["std_loss"] + 3 * terms["cov_loss"]
    theirs = lightly_losses.VICRegLoss(lambda_param=25, mu_param=24, nu_param=3)(*views)
    for first, second in zip(with_gradients(ours, views), with_gradients(theirs, views), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent_equals_the_implementation_in_lightly(lightly_losses: ModuleType, temperature: float):
    views = drawn()
    theirs = lightly_losses.NTXentLoss(temperature=temperature)(*views)
    ours = contrastive_loss(*views, temperature)
    for first, second in zip(with_gradients(ours, views), with_gradients(theirs, views), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-12)


def test_alignment_is_two_minus_twice_the_cosine():
    first, second = drawn()
    expected = 2 - 2 * F.cosine_similarity(first, second).mean()
    torch.testing.assert_close(alignment_loss(first, second), expected)


def test_uniformity_is_the_log_mean_gaussian_potential_of_pairs():
    (embeddings, _) = drawn()
    distances = torch.pdist(F.normalize(embeddings, dim=1))
    torch.testing.assert_close(uniformity_loss(embeddings), (-2 * distances**2).exp().mean().log())
    assert uniformity_loss(torch.ones(5, 3)).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", CRITERIA)
def test_under_bfloat16_autocast_terms_are_those_of_float32(name: str):
    views = drawn(dtype=torch.float32)
    expected = CRITERIA[name](*views)
    with torch.autocast("cpu", torch.bfloat16):
        found = CRITERIA[name](*views)
    assert found.dtype == torch.float32
    assert found.item() == expected.item()


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_constant_embeddings_give_a_finite_loss_and_gradient(name: str, value: float, dtype: torch.dtype):
    views = [torch.full((16, 4), value, dtype=dtype, requires_grad=True) for _ in range(2)]
    loss = CRITERIA[name](*views)
    assert torch.isfinite(loss)
    loss.backward()
    assert all(view.grad is None or torch.isfinite(view.grad).all() for view in views)
