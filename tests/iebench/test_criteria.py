import pytest
import torch

from iebench.criteria import covariance_loss, invariance_loss, variance_loss


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


def test_invariance_loss_is_the_mean_over_batch_and_dimension():
    assert invariance_loss(torch.zeros(4, 2), torch.full((4, 2), 3.0)).item() == 9


def test_statistics_are_computed_in_float32_of_half_precision_embeddings():
    embeddings = torch.randn(64, 8, dtype=torch.bfloat16)
    assert {loss(embeddings).dtype for loss in (variance_loss, covariance_loss)} == {torch.float32}
