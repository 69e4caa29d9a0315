from pathlib import Path

import pytest

from iebench.recipes import recipe_names
from iebench.recipes.as_toml import recipe_as_toml
from iebench.recipes.recipe import load_recipe
from shards.errors import UsageError


def test_the_recipe_sie_holds_the_published_hyper_parameters():
    recipe = load_recipe("sie")
    assert (recipe.training.epochs, recipe.training.batch_size) == (2000, 1024)
    assert (recipe.optimizer.lr, recipe.optimizer.weight_decay) == (1e-3, 1e-6)
    method = recipe.method
    assert (method.similarity, method.equivariance, method.std, method.cov) == (10, 0.45, 10, 1)
    assert (method.projector, method.equivariant_dimension, method.groups) == ([2048] * 3, 256, ["rotation"])


BOTH = ["rotation", "color"]
AUGMENTATIONS = ["crop", "flip", "color_jitter", "grayscale"]
NARROW = {"projector": [512, 128], "equivariant_projector": [512, 128]}
METHODS = {
    "augself": ("augself", {}),
    "byol_cifar10": ("byol", {"projector": [4096, 256], "prediction_width": 4096}),
    "byol_small": ("byol", {"projector": [512, 128], "prediction_width": 512, "momentum": 0.99}),
    "equimod_barlow_cifar10": ("equimod_barlow", {}),
    "equimod_barlow_small": ("equimod_barlow", NARROW),
    "equimod_byol_cifar10": ("equimod_byol", {}),
    "equimod_byol_imagenet": ("equimod_byol", {}),
    "equimod_byol_small": ("equimod_byol", {**NARROW, "prediction_width": 512, "momentum": 0.99}),
    "equimod_simclr_cifar10": ("equimod_simclr", {}),
    "equimod_simclr_imagenet": (
        "equimod_simclr",
        {"groups": [*AUGMENTATIONS, "blur"], "temperature": 0.2},
    ),
    "equimod_simclr_small": ("equimod_simclr", NARROW),
    "simclr_cifar10": ("simclr", {"projector": [2048, 2048, 128], "temperature": 0.5}),
    "simclr_small": ("simclr", {"projector": [512, 128], "temperature": 0.5}),
    "augself_rotcolor": ("augself", {"groups": BOTH}),
    "byol": ("byol", {}),
    "demo": ("sie", {"projector": [512, 512, 128], "similarity": 1.0, "equivariance": 2.0}),
    "demo_vicreg": ("vicreg", {"projector": [512, 512, 128]}),
    "equimod_byol_3diebench": ("equimod_byol_3diebench", {}),
    "equimod_byol_3diebench_rotcolor": ("equimod_byol_3diebench", {"groups": BOTH}),
    "equimod_simclr_3diebench": ("equimod_simclr_3diebench", {}),
    "equimod_simclr_3diebench_rotcolor": ("equimod_simclr_3diebench", {"groups": BOTH, "equivariance": 1.0}),
    "equimod_vicreg_3diebench": ("equimod_vicreg_3diebench", {}),
    "equimod_vicreg_3diebench_rotcolor": ("equimod_vicreg_3diebench", {"groups": BOTH}),
    "sie": ("sie", {}),
    "sie_no_variance": ("sie", {"prediction_variance": False}),
    "sie_only_equivariant": ("sie", {"only_equivariant": True, "equivariance": 1.0}),
    "sie_rotcolor": ("sie", {"groups": BOTH}),
    "simclr": ("simclr", {}),
    "simclr_only_equivariant": ("simclr_only_equivariant", {}),
    "steerable": ("steerable", {"projector": [2048, 2048, 512]}),
    "steerable_cifar10": ("steerable", {"groups": AUGMENTATIONS, "projector": [2048, 2048, 128]}),
    "steerable_small": ("steerable", {"groups": AUGMENTATIONS, "projector": [512, 128]}),
    "steerable_supervised_small": (
        "steerable",
        {"groups": AUGMENTATIONS, "projector": [512, 128], "supervision": 1.0, "uniformity": 0.0},
    ),
    "supervised": ("supervised", {}),
    "supervised_rotation": ("supervised", {"task": "transformation"}),
    "vicreg": ("vicreg", {}),
    "vicreg_part": ("vicreg", {"free_dimension": 256}),
}
"""The method of each recipe, and what is not as the method has it by default."""


@pytest.mark.parametrize("name", METHODS)
def test_every_recipe_has_the_method_and_numbers_it_is_named_after(name: str):
    recipe = load_recipe(name)
    method, differing = METHODS[name]
    assert recipe.method == type(recipe.method)(name=method, **differing)


def test_no_recipe_of_the_package_says_anything_about_the_machine():
    for name in recipe_names():
        training = load_recipe(name).training
        assert (training.workers, training.compile) == (None, None)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_written_as_toml_reads_as_the_same_recipe(name: str, tmp_path: Path):
    path = tmp_path / "whole.toml"
    path.write_text(recipe_as_toml(load_recipe(name)))
    assert load_recipe(str(path)) == load_recipe(name)


def test_a_recipe_extends_a_file_beside_it_and_one_of_the_package(tmp_path: Path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "budget.toml").write_text('extends = "sie"\n[training]\nepochs = 3\nseed = 7\n')
    mine = tmp_path / "inner" / "mine.toml"
    mine.write_text('extends = "../budget.toml"\n[training]\nepochs = 5\n[method]\nprojector = [8, 4]\n')
    recipe, sie = load_recipe(str(mine)), load_recipe("sie")
    assert (recipe.training.epochs, recipe.training.seed, recipe.training.batch_size) == (5, 7, 1024)
    assert (recipe.method.projector, recipe.method.cov) == ([8, 4], 1.0)
    assert (recipe.backbone, recipe.optimizer) == (sie.backbone, sie.optimizer)


def test_a_recipe_with_another_method_takes_no_field_of_the_method_it_extends(tmp_path: Path):
    (tmp_path / "base.toml").write_text('extends = "sie"\n[method]\nprojector = [8, 4]\n')
    mine = tmp_path / "mine.toml"
    mine.write_text('extends = "base.toml"\n[method]\nname = "simclr"\n')
    assert load_recipe(str(mine)).method.projector == [2048] * 3
    assert load_recipe(str(mine)).about.paper == ""  # and not SIE's, which the report would cite


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a": '"a.toml"'}, ["a.toml extends itself", "a.toml -> "]),
        ({"a": '"b.toml"', "b": '"c.toml"', "c": '"b.toml"'}, ["extends itself", "b.toml", "c.toml"]),
        ({"a": '"sei"'}, ["there is no recipe 'sei'", "a.toml extends", "did you mean 'sie'"]),
        ({"a": '"gone.toml"'}, ["there is no recipe file", "gone.toml"]),
        ({"a": '["sie", "simclr"]'}, ["extends takes the name of one recipe"]),
        ({"a": '"b.toml"', "b": "not"}, ["recipe b.toml is not valid TOML"]),
    ],
)
def test_a_recipe_that_cannot_be_extended_is_one_sentence(
    tmp_path: Path, files: dict[str, str], words: list[str]
):
    for name, base in files.items():
        (tmp_path / f"{name}.toml").write_text(f"extends = {base}\n")
    with pytest.raises(UsageError) as caught:
        load_recipe(str(tmp_path / "a.toml"))
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


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
        ("method.name=sei", ["there is no method 'sei'", "equimod_byol_3diebench", "sie"]),
    ],
)
def test_a_wrong_override_is_an_error_that_says_what_is_right(override: str, words: list[str]):
    with pytest.raises(UsageError) as caught:
        load_recipe("demo", (override,))
    assert all(word in str(caught.value) for word in words), caught.value


def test_set_reaches_the_fields_of_every_method():
    assert load_recipe("byol", ("method.momentum=0.5",)).method.momentum == 0.5
    equimod = load_recipe(
        "equimod_vicreg_3diebench", ("method.predictor.kind=mlp", "method.predictor.hidden=[64]")
    )
    assert (equimod.method.predictor.kind, equimod.method.predictor.hidden) == ("mlp", [64])


def test_fields_that_do_not_go_together_are_an_error():
    with pytest.raises(UsageError, match=r"method\.predictor: a predictor of kind 'steer' has no hidden"):
        load_recipe("steerable", ("method.predictor.kind=steer", "method.predictor.hidden=[64]"))


RENDERS = [
    name for name in recipe_names() if not name.startswith("demo") and load_recipe(name).augmentation is None
]


@pytest.mark.parametrize("name", RENDERS)
def test_all_methods_have_the_published_budget(name: str):
    recipe, sie = load_recipe(name), load_recipe("sie")
    assert (recipe.training, recipe.optimizer, recipe.backbone) == (sie.training, sie.optimizer, sie.backbone)


def test_both_recipes_of_the_demo_have_one_budget():
    sie, vicreg = load_recipe("demo"), load_recipe("demo_vicreg")
    for section in ("training", "optimizer", "backbone", "evaluation"):
        assert getattr(vicreg, section) == getattr(sie, section)


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


@pytest.mark.parametrize(
    ("name", "lr", "batch_size", "epochs", "weight_decay"),
    [
        ("equimod_simclr_cifar10", 4.0, 512, 800, 1e-6),
        ("equimod_byol_cifar10", 2.0, 512, 800, 1e-6),
        ("equimod_simclr_imagenet", 2.4, 4096, 800, 1e-6),
        ("equimod_byol_imagenet", 4.8, 4096, 1000, 1.5e-6),
    ],
)
def test_equimods_recipes_have_the_budget_of_its_code(
    name: str, lr: float, batch_size: int, epochs: int, weight_decay: float
):
    """run_*.slurm and src/main.py of EquiMod's code (arXiv 2211.01244)."""
    recipe = load_recipe(name)
    optimizer, training = recipe.optimizer, recipe.training
    assert (optimizer.name, optimizer.lr, optimizer.weight_decay) == ("lars", lr, weight_decay)
    assert (optimizer.schedule, optimizer.warmup_epochs, optimizer.momentum) == ("cosine", 10, 0.9)
    assert (training.batch_size, training.epochs) == (batch_size, epochs)
    assert recipe.backbone.zero_init and recipe.backbone.joint_views
