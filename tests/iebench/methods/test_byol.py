import pytest
import torch

from every_method import small_batch, small_method
from iebench.methods.parts.losses import alignment_loss


@pytest.mark.parametrize("name", ["byol", "equimod_byol_3diebench"])
def test_target_networks_get_no_gradient_and_want_none(name: str):
    method = small_method(name)
    batch = small_batch(method)
    targets = tuple(view.requires_grad_() for view in batch.targets)
    method(batch._replace(targets=targets)).terms["loss"].backward()
    assert all(view.grad is None for view in targets)
    slow = [value for key, value in method.named_parameters() if "target_projector" in key]
    assert slow
    assert all(not value.requires_grad and value.grad is None for value in slow)


def test_both_views_take_either_role():
    method = small_method("byol").eval()
    batch = small_batch(method)
    embeddings = [method.prediction(method.projector(view)) for view in (batch.first, batch.second)]
    first, second = (method.target_projector(view) for view in batch.targets)
    expected = alignment_loss(embeddings[0], second) + alignment_loss(embeddings[1], first)
    torch.testing.assert_close(method(batch).terms["loss"], expected)


def test_equimod_adds_the_distance_between_prediction_and_target_of_the_second_view():
    method = small_method("equimod_byol_3diebench", equivariance=0.5).eval()
    batch = small_batch(method)
    predicted = method.predictor(method.projector(batch.first), batch.transformation)
    distance = alignment_loss(predicted, method.target_projector(batch.targets[1]))
    terms = method(batch).terms
    torch.testing.assert_close(terms["repr_loss_equi"], distance)
    torch.testing.assert_close(terms["loss"], method.base(batch).terms["loss"] + 0.5 * distance)


@pytest.mark.parametrize("name", ["byol", "equimod_byol_3diebench"])
def test_following_moves_every_target_projector(name: str):
    method = small_method(name)
    with torch.no_grad():
        for key, value in method.named_parameters():
            value.fill_(0.0 if "target" in key else 1.0)
    method.update_targets(0.75)
    moved = [value for key, value in method.named_parameters() if "target" in key]
    assert all(torch.equal(value, torch.full_like(value, 0.25)) for value in moved)
