"""Augmented views out of shards: torchvision's pixels, recorded parameters, and the same in any process from any step."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode, v2

from iebench.augmentations.config import AugmentationConfig
from iebench.augmentations.measure import measure_parameters
from iebench.augmentations.parameters import PARAMETERS, original_parameters
from iebench.augmentations.pipeline import Augmentation, augment, blur_kernel
from iebench.recipes.recipe import load_recipe
from iebench.training.loop import train
from iebench.training.metrics_log import read_metrics
from iebench.training.model import build_model
from iebench.training.run import Run, load_checkpoint
from shards.batches import DrawBatch
from shards.errors import UsageError
from shards.loader import draw_batches
from shards.reader import read_views
from shards.schema import open_dataset
from shards.stream import DrawSettings, DrawStream
from toys import SIZE

WHOLE = AugmentationConfig(blur=[0.5], solarize=[0.3])
SMALL = [
    "training.batch_size=4",
    "training.epochs=3",
    "training.workers=0",
    "training.precision=float32",
    "training.log_every=1",
    "training.checkpoint_every=1",
    "backbone.small_image_stem=false",
    "optimizer.warmup_epochs=0",
]


def maker(views=(0, 1, 2), seed=0, size=SIZE) -> Augmentation:
    return Augmentation(WHOLE, seed, views, size)


def batches(folder: Path, count: int, augmentation: Augmentation, step=0, workers=0, rank=0, ranks=1):
    settings = DrawSettings(4, lanes=2, views=len(augmentation.views), maker=augmentation)
    stream = DrawStream(folder, open_dataset(folder), "train", settings, rank, ranks)
    stream.start_step = step
    with draw_batches(stream, workers) as parts:
        return [joined(batch) for batch in islice(parts, count)]


def joined(parts: tuple[DrawBatch, ...]) -> tuple[np.ndarray, np.ndarray]:
    return tuple(
        np.concatenate([getattr(part, name).numpy().copy() for part in parts], axis=1)
        for name in ("views", "latents")
    )


def test_each_operation_is_torchvision_s_own(toy_dataset: Path):
    picture = torch.from_numpy(next(read_views(toy_dataset, open_dataset(toy_dataset), "train")).pixels())
    picture = picture.permute(2, 0, 1)
    row = dict(zip(PARAMETERS, original_parameters(SIZE, SIZE), strict=True))

    def applied(**changes: float) -> torch.Tensor:
        return augment(picture, np.array([{**row, **changes}[name] for name in PARAMETERS]), 24)

    resized = v2.functional.resize(picture, [24, 24], InterpolationMode.BICUBIC, antialias=True)
    assert torch.equal(applied(), resized)
    assert torch.equal(applied(flip=1), resized.flip(-1))
    gray = v2.functional.rgb_to_grayscale(resized, 3)
    assert torch.equal(applied(grayscale=1), gray)
    assert torch.equal(applied(solarize=1), torch.where(resized >= 128, 255 - resized, resized))
    assert torch.equal(
        applied(blur=1, blur_sigma=1.5), v2.functional.gaussian_blur(resized, [3, 3], [1.5, 1.5])
    )
    cropped = v2.functional.resized_crop(
        picture, 3, 5, 20, 16, [24, 24], InterpolationMode.BICUBIC, antialias=True
    )
    assert torch.equal(applied(crop_top=3, crop_left=5, crop_height=20, crop_width=16), cropped)
    order = {"jitter_first": 3, "jitter_second": 1, "jitter_third": 0, "jitter_fourth": 2}
    jittered = applied(jitter=1, hue=0.1, contrast=1.3, brightness=0.7, saturation=1.2, **order)
    expected = v2.functional.adjust_hue(resized, 0.1)
    expected = v2.functional.adjust_contrast(expected, 1.3)
    expected = v2.functional.adjust_brightness(expected, 0.7)
    assert torch.equal(jittered, v2.functional.adjust_saturation(expected, 1.2))
    assert [blur_kernel(size) for size in (224, 64, 32)] == [23, 7, 5]


def test_view_0_is_the_original_and_others_are_made_by_their_parameters(toy_dataset: Path):
    index = open_dataset(toy_dataset)
    stored = {tuple(view.metadata.latents): view.pixels() for view in read_views(toy_dataset, index, "train")}
    own = len(index.latents)
    for views, latents in batches(toy_dataset, 4, maker()):
        assert views.shape == (3, 4, 3, SIZE, SIZE) and latents.shape == (3, 4, own + 18)
        assert (latents[0, :, own:] == original_parameters(SIZE, SIZE)).all()
        for number in range(4):
            original = stored[tuple(latents[0, number, :own])]
            assert np.array_equal(views[0, number].transpose(1, 2, 0), original)
            for view in (1, 2):
                assert np.array_equal(latents[view, number, :own], latents[0, number, :own])
                made = augment(torch.from_numpy(original).permute(2, 0, 1), latents[view, number, own:], SIZE)
                assert np.array_equal(views[view, number], made.numpy())


@pytest.mark.processes
@pytest.mark.parametrize(("step", "workers"), [(0, 2), (3, 0), (5, 2)])
def test_views_are_the_same_from_any_step_and_in_any_worker(toy_dataset: Path, step: int, workers: int):
    expected = batches(toy_dataset, 9, maker())[step:]
    found = batches(toy_dataset, 9 - step, maker(), step, workers)
    for one, other in zip(found, expected, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_views_are_the_same_over_two_processes(toy_dataset: Path):
    whole = batches(toy_dataset, 3, maker())
    shares = [batches(toy_dataset, 3, maker(), rank=rank, ranks=2) for rank in range(2)]
    for number in range(3):
        both = np.concatenate([share[number][0] for share in shares], axis=1)
        assert np.array_equal(both, whole[number][0])


def test_an_object_is_augmented_anew_each_time_it_is_drawn(toy_dataset: Path):
    rows = [
        tuple(row)
        for _, latents in batches(toy_dataset, 40, maker((1, 2)))
        for row in latents[:, :, 7:].reshape(-1, 18)
    ]
    assert len(set(rows)) > 0.99 * len(rows)


def test_a_method_without_relations_sees_the_very_augmented_views_of_one_with(toy_dataset: Path):
    three, two = batches(toy_dataset, 2, maker()), batches(toy_dataset, 2, maker((1, 2)))
    for (views, _), (augmented, _) in zip(three, two, strict=True):
        assert np.array_equal(views[1:], augmented)


@pytest.mark.slow
def test_parameters_are_standardized_by_what_the_training_draws(toy_dataset: Path, tmp_path: Path):
    recipe = load_recipe("equimod_simclr_small", SMALL)
    train(recipe, toy_dataset, tmp_path / "run", "cpu")
    state = load_checkpoint(Run(tmp_path / "run").last_checkpoint)["model"]
    index = open_dataset(toy_dataset)
    model = build_model(recipe, index)
    model.load_state_dict(state)
    augmentation = Augmentation(recipe.augmentation, recipe.training.seed, (0, 1, 2), SIZE)
    drawn = batches(toy_dataset, 200, augmentation)
    rows = torch.from_numpy(np.concatenate([latents[view] for _, latents in drawn for view in (1, 2)]))
    told = model.transformation(rows, rows, model.method.groups)
    assert told.shape[1] == 15
    assert told.mean(dim=0).abs().max() < 0.2
    assert (told.std(dim=0) - 1).abs().max() < 0.2
    mean, _ = measure_parameters(augmentation, toy_dataset, index)
    assert np.array_equal(state["parameter_scale.mean"].numpy(), mean)


@pytest.mark.slow
def test_a_run_on_augmentations_resumes_to_the_same_weights(toy_dataset: Path, tmp_path: Path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    constant = [*SMALL, "optimizer.schedule=constant"]
    long = load_recipe("equimod_simclr_small", constant)
    short = load_recipe("equimod_simclr_small", [*constant, "training.epochs=1"])
    train(long, toy_dataset, whole, "cpu")
    train(short, toy_dataset, part, "cpu")
    train(long, toy_dataset, part, "cpu", resume=True)
    one, other = (load_checkpoint(Run(folder).last_checkpoint)["model"] for folder in (whole, part))
    assert all(torch.equal(one[name], other[name]) for name in one)
    steps = [
        [record["step"] for record in read_metrics(folder / "metrics.jsonl")] for folder in (whole, part)
    ]
    assert steps[0] == steps[1]


@pytest.mark.parametrize(
    ("recipe", "change", "words"),
    [
        (
            "equimod_simclr_small",
            'method.groups=["blur"]',
            "names 'blur', and its [augmentation] never applies it",
        ),
        (
            "equimod_simclr_small",
            'method.groups=["rotation"]',
            "names 'rotation', which does not change between",
        ),
        ("sie", 'method.groups=["crop"]', "names 'crop', and this recipe has no [augmentation]"),
    ],
)
def test_a_group_that_is_not_recorded_is_one_sentence(
    toy_dataset: Path, recipe: str, change: str, words: str
):
    with pytest.raises(UsageError) as error:
        build_model(load_recipe(recipe, [change]), open_dataset(toy_dataset))
    assert words in str(error.value)


def test_sie_may_split_a_representation_by_augmentations(toy_dataset: Path):
    changes = ['method.groups=["crop", "color_jitter"]', "augmentation.flip=0.25", "backbone.name=resnet10"]
    model = build_model(load_recipe("sie", changes), open_dataset(toy_dataset))
    assert model.method.wants_original() and not model.has_rotation
