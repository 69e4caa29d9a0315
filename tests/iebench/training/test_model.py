"""The network that is trained, for every recipe, on one batch of the toy dataset."""

import json
from pathlib import Path

import pytest
import torch

from iebench.methods import Batch, Outcome, find_method, method
from iebench.methods.simclr import SimCLR
from iebench.recipes import recipe_names
from iebench.recipes.recipe import Recipe, load_recipe
from iebench.training.loading import to_device
from iebench.training.model import Model, build_model
from iebench.training.optimizers import build_optimizer, set_learning_rate
from iebench.training.precision import Precision
from shards.batches import DrawBatch
from shards.errors import UsageError
from shards.schema import DatasetIndex, open_dataset
from shards.stream import DrawSettings, DrawStream
from toys import rewrite_index

CPU = torch.device("cpu")
SMALL = {
    "projector": "[32, 16]",
    "prediction_width": "16",
    "free_dimension": "4",
    "equivariant_projector": "[32, 16]",
}
AUGMENTED = ("_cifar10", "_imagenet", "_small")


def small_recipe(name: str, *overrides: str) -> Recipe:
    fields = type(load_recipe(name).method).model_fields
    small = [f"method.{field}={value}" for field, value in SMALL.items() if field in fields]
    quick = ["online.hidden_width=8", "backbone.small_image_stem=false"]
    return load_recipe(name, [*small, *quick, *overrides])


def one_recipe_of_each_method() -> list[str]:
    """Precision does not depend on what a method's other recipes change; those of the demo are smaller."""
    by_size = sorted(recipe_names(), key=lambda name: not name.startswith("demo"))
    return sorted({load_recipe(name).method.name: name for name in by_size}.values())


QUICK = one_recipe_of_each_method()
RECIPES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in recipe_names()]


@pytest.fixture(scope="module")
def index(toy_dataset: Path) -> DatasetIndex:
    return open_dataset(toy_dataset)


@pytest.fixture(scope="module")
def pair(toy_dataset: Path, index: DatasetIndex) -> DrawBatch:
    return next(iter(DrawStream(toy_dataset, index, "train", DrawSettings(4))))


def batch_for(model: Model, data: Path, index: DatasetIndex) -> DrawBatch:
    """A batch of the views that the model's method wants."""
    settings = DrawSettings(4, views=model.method.view_count, maker=model.augmentation)
    return next(iter(DrawStream(data, index, "train", settings)))


def step(model: Model, recipe: Recipe, pair: DrawBatch) -> dict[str, float]:
    """One step of training."""
    optimizer = build_optimizer(model, recipe)
    set_learning_rate(optimizer, recipe.optimizer.lr)
    outcome = model(*to_device((pair,), CPU))
    outcome.loss.backward()
    optimizer.step()
    model.after_step(0.5)
    return {name: value.item() for name, value in outcome.terms.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_a_step_and_watches_it(index: DatasetIndex, toy_dataset: Path, name: str):
    recipe = small_recipe(name)
    model = build_model(recipe, index)
    terms = step(model, recipe, batch_for(model, toy_dataset, index))
    assert all(torch.isfinite(torch.tensor(list(terms.values()))))
    assert {"loss", "online_representation_top1"} <= set(terms)
    assert ("online_representation_rotation_r2" in terms) is not name.endswith(AUGMENTED)
    assert ("online_embedding_top1" in terms) is not name.startswith("supervised")
    missing = [key for key, value in model.named_parameters() if value.requires_grad and value.grad is None]
    assert not missing


@pytest.mark.parametrize("name", QUICK)
def test_every_method_takes_a_step_in_mixed_precision(index: DatasetIndex, toy_dataset: Path, name: str):
    recipe = small_recipe(name)
    precision = Precision("bfloat16", CPU)
    model = build_model(recipe, index)
    pair = batch_for(model, toy_dataset, index)
    optimizer = build_optimizer(model, recipe)
    types = []
    model.backbone.register_forward_hook(lambda *call: types.append(call[-1].dtype))
    with precision.autocast():
        outcome = model(*to_device((pair,), CPU))
    assert set(types) == {torch.bfloat16}
    assert outcome.loss.dtype == torch.float32
    precision.scaler.scale(outcome.loss).backward()
    gradients = [value.grad for value in model.parameters() if value.grad is not None]
    assert all(torch.isfinite(value).all() for value in (outcome.loss, *gradients))
    precision.scaler.step(optimizer)
    precision.scaler.update()


@pytest.mark.parametrize("name", ["byol", "equimod_byol_3diebench"])
def test_the_target_backbone_follows_and_is_never_trained(index: DatasetIndex, pair: DrawBatch, name: str):
    recipe = small_recipe(name, "method.momentum=0.5")
    model = build_model(recipe, index)
    trained = {
        id(value) for group in build_optimizer(model, recipe).param_groups for value in group["params"]
    }
    before = model.target_backbone.conv1.weight.clone()
    step(model, recipe, pair)
    assert all(value.grad is None for value in model.target_backbone.parameters())
    assert not trained & {id(value) for value in model.target_backbone.parameters()}
    after, online = model.target_backbone.conv1.weight, model.backbone.conv1.weight
    assert not torch.equal(online, before)
    torch.testing.assert_close(after, before.lerp(online, 1 - 0.75))  # half way from 0.5 to 1


@pytest.mark.parametrize("name", ["sie", "byol"])
def test_views_run_together_share_their_batch_statistics_and_apart_they_do_not(
    index: DatasetIndex, pair: DrawBatch, name: str
):
    together, apart = (
        build_model(small_recipe(name, f"backbone.joint_views={joint}"), index) for joint in ("true", "false")
    )
    calls: list[int] = []
    for model in (together, apart):
        model.backbone.register_forward_hook(lambda module, inputs, output: calls.append(len(inputs[0])))
    first, second = (
        model(*to_device((pair,), CPU)).spaces["representation"][0] for model in (together, apart)
    )
    assert calls == [8, 4, 4]
    assert not torch.allclose(first, second)
    expected = apart.represent(pair.views[0])
    torch.testing.assert_close(second, expected, rtol=1e-4, atol=1e-5)


def test_published_recipes_run_the_backbone_once_per_view_and_the_demo_once_for_both():
    joint = {name: load_recipe(name).backbone.joint_views for name in recipe_names()}
    assert joint.pop("demo") and joint.pop("demo_vicreg")
    assert all(value == name.endswith(AUGMENTED) for name, value in joint.items())


def test_heads_that_watch_leave_no_trace_in_the_backbone(index: DatasetIndex, pair: DrawBatch):
    weights = []
    for rate in ("1e-3", "1.0"):
        recipe = small_recipe("sie", f"online.lr={rate}")
        model = build_model(recipe, index)
        step(model, recipe, pair)
        weights.append({key: value for key, value in model.state_dict().items() if "online" not in key})
        assert model.online.classifiers["representation"].weight.grad.abs().sum() > 0
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_heads_that_watch_have_a_rate_of_their_own(index: DatasetIndex):
    recipe = small_recipe("sie", "online.lr=0.25")
    optimizer = build_optimizer(build_model(recipe, index), recipe)
    set_learning_rate(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.25]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-6, 0]


@pytest.mark.parametrize(
    "recipe", ["sie", "augself", "supervised_rotation", "steerable", "equimod_byol_3diebench"]
)
def test_a_dataset_without_the_latents_of_a_group_is_one_sentence(index: DatasetIndex, recipe: str):
    with pytest.raises(
        UsageError, match="the dataset has no latent translation_x, translation_y, translation_z"
    ):
        build_model(small_recipe(recipe, 'method.groups=["translation"]'), index)


def test_invariant_methods_need_no_latents(toy_copy: Path):
    content = json.loads((toy_copy / "dataset.json").read_text())
    content["latents"] = [latent for latent in content["latents"] if "rotation" not in latent["name"]]
    model = build_model(small_recipe("vicreg"), rewrite_index(toy_copy, content))
    assert not model.has_rotation
    assert not model.online.regressors


def test_an_embedding_without_an_invariant_part_is_one_sentence(index: DatasetIndex):
    with pytest.raises(UsageError, match="free_dimension = 16 leaves nothing of an embedding of 16"):
        build_model(small_recipe("vicreg_part", "method.free_dimension=16"), index)


class OnMaps(SimCLR):
    """SimCLR that pools itself, by the maximum."""

    wants_maps = True

    def forward(self, batch: Batch) -> Outcome:
        assert all(view.ndim == 4 for view in batch.views)
        assert len(batch.latents) == len(batch.views)
        return super().forward(batch._replace(views=tuple(view.amax(dim=(2, 3)) for view in batch.views)))


@pytest.mark.parametrize("backbone", ["resnet10", "sie_resnet18"])
def test_a_method_may_read_feature_maps_and_heads_read_their_means(
    index: DatasetIndex, pair: DrawBatch, backbone: str, monkeypatch: pytest.MonkeyPatch
):
    entry = find_method("simclr")
    monkeypatch.setitem(method._METHODS, "simclr", entry._replace(method=OnMaps))
    recipe = small_recipe("simclr", f"backbone.name={backbone}")
    model = build_model(recipe, index).train()
    outcome = model(*to_device((pair,), CPU))
    assert all(space.shape == (4, 512) for space in outcome.spaces["representation"])
    assert step(model, recipe, pair)["loss"] > 0
