from pathlib import Path

import pytest

from iebench.recipes.recipe import load_recipe, recipe_names
from shards.errors import UsageError


def test_the_recipe_sie_holds_the_published_hyper_parameters():
    recipe = load_recipe("sie")
    assert (recipe.training.epochs, recipe.training.batch_size) == (2000, 1024)
    assert (recipe.optimizer.lr, recipe.optimizer.weight_decay) == (1e-3, 1e-6)
    method = recipe.method
    assert (method.similarity, method.equivariance, method.std, method.cov) == (10, 0.45, 10, 1)
    assert (method.projector, method.equivariant_dimension, method.groups) == ([2048] * 3, 256, ["rotation"])


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_in_the_package_is_valid(name: str):
    assert load_recipe(name).format == 1


def test_set_overrides_fields_with_values_as_toml_writes_them():
    recipe = load_recipe(
        "demo", ("training.epochs=3", "optimizer.lr=2e-4", 'method.groups=["rotation", "color"]')
    )
    assert (recipe.training.epochs, recipe.optimizer.lr) == (3, 2e-4)
    assert recipe.method.groups == ["rotation", "color"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.epoch=3", ["'training.epoch'", "did you mean 'training.epochs'"]),
        ("epochs=3", ["did you mean 'training.epochs'"]),
        ("training.epochs=many", ["training.epochs = 'many'", "integer"]),
        ("training.epochs=0", ["training.epochs = 0", "greater than or equal to 1"]),
        ("training.epochs", ["section.field=value"]),
        ("method.groups=['rotations']", ["method.groups.0 = 'rotations'", "'rotation'"]),
        ("method.predictor.kinds=mlp", ["did you mean 'method.predictor.kind'"]),
        ("method.temperature=0.1", ["has no field 'method.temperature'", "did you mean 'method."]),
        ("training.batch_size=1", ["training.batch_size = 1", "greater than or equal to 2"]),
        ("method.name=sei", ["there is no method 'sei'", "equimod_byol", "sie"]),
    ],
)
def test_a_wrong_override_is_an_error_that_says_what_is_right(override: str, words: list[str]):
    with pytest.raises(UsageError) as caught:
        load_recipe("demo", (override,))
    assert all(word in str(caught.value) for word in words), caught.value


def test_set_reaches_the_fields_of_every_method():
    assert load_recipe("byol", ("method.momentum=0.5",)).method.momentum == 0.5
    equimod = load_recipe("equimod_vicreg", ("method.predictor.kind=mlp", "method.predictor.hidden=[64]"))
    assert (equimod.method.predictor.kind, equimod.method.predictor.hidden) == ("mlp", [64])


def test_fields_that_do_not_go_together_are_an_error():
    with pytest.raises(UsageError, match=r"method\.predictor: a predictor of kind 'steer' has no hidden"):
        load_recipe("steerable", ("method.predictor.kind=steer", "method.predictor.hidden=[64]"))


@pytest.mark.parametrize("name", [name for name in recipe_names() if name != "demo"])
def test_all_methods_have_the_published_budget(name: str):
    recipe, sie = load_recipe(name), load_recipe("sie")
    assert (recipe.training, recipe.optimizer, recipe.backbone) == (sie.training, sie.optimizer, sie.backbone)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_says_what_it_is(name: str):
    about = load_recipe(name).about
    assert about.what
    assert about.paper or name.startswith("supervised")


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'sie'"):
        load_recipe("sei")


def test_a_recipe_file_with_an_unknown_field_names_the_nearest(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text("[optimizer]\nweight_dekay = 0.1\n")
    with pytest.raises(UsageError, match=r"did you mean 'optimizer\.weight_decay'"):
        load_recipe(str(path))


def test_a_recipe_of_another_format_is_refused(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text("format = 2\n")
    with pytest.raises(UsageError, match="format 2"):
        load_recipe(str(path))
