from pathlib import Path

import pytest

from iebench.recipe import load_recipe, recipe_names
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
    ],
)
def test_a_wrong_override_is_an_error_that_says_what_is_right(override: str, words: list[str]):
    with pytest.raises(UsageError) as caught:
        load_recipe("demo", (override,))
    assert all(word in str(caught.value) for word in words), caught.value


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
