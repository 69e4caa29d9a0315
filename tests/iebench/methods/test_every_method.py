"""What holds for every method alike."""

import pytest
import torch

from every_method import METHODS, WIDTH, small_batch, small_method
from iebench.backbones.encoder import ALL
from iebench.methods import Batch, Method


def constant(batch: Batch) -> Batch:
    return batch._replace(views=tuple(torch.ones_like(view, requires_grad=True) for view in batch.views))


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_reaches_all_representations_and_every_weight_that_is_trained(name: str):
    method = small_method(name)
    batch = small_batch(method)
    method(batch).terms["loss"].backward()
    for view in batch.views:
        assert view.grad.abs().sum() > 0
    without = {key for key, value in method.named_parameters() if value.requires_grad and value.grad is None}
    assert not without


@pytest.mark.parametrize("name", METHODS)
def test_collapsed_representations_give_a_finite_loss_and_gradient(name: str):
    method = small_method(name)
    batch = constant(small_batch(method))
    with torch.autocast("cpu", torch.bfloat16):
        loss = method(batch).terms["loss"]
    assert torch.isfinite(loss)
    loss.backward()
    gradients = [value.grad for value in method.parameters() if value.grad is not None]
    assert all(torch.isfinite(value).all() for value in (*gradients, *(view.grad for view in batch.views)))


@pytest.mark.parametrize("name", METHODS)
def test_embeddings_are_as_wide_as_the_method_says(name: str):
    method = small_method(name)
    embeddings = method(small_batch(method)).embeddings
    widths = set() if embeddings is None else {embedding.shape[1] for embedding in embeddings}
    assert widths == ({method.embedding_dimension} if method.embedding_dimension else set())


@pytest.mark.parametrize("name", METHODS)
def test_a_predictor_steers_the_embeddings_that_the_method_names(name: str):
    method: Method = small_method(name).eval()
    batch = small_batch(method)
    if method.predictor is not None:
        embeddings = method.steered_embeddings(batch.first)
        assert method.predictor(embeddings, batch.transformation).shape == embeddings.shape


@pytest.mark.parametrize("name", METHODS)
def test_parts_are_columns_of_the_representation_that_are_not_all_of_it(name: str):
    parts = small_method(name).parts()
    assert ALL not in parts
    assert all(0 <= start < stop <= WIDTH and stop - start < WIDTH for start, stop in parts.values())


def test_a_representation_may_be_steered_itself():
    method = small_method("steerable", space="representation", groups=["crop", "flip"])
    batch = small_batch(method)
    assert method.steered_embeddings(batch.first) is batch.first
    assert method(batch).embeddings[0].shape[1] == WIDTH
    assert "class_loss" in method(batch).terms
