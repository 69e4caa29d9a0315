"""Probes are fitted to other datasets, and datasets lack classes, views or a spread of values."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iebench.cli.evaluating import evaluate_run
from iebench.evaluation import evaluate_encoder
from iebench.evaluation.results import (
    TRAINED,
)
from iebench.recipes.recipe import load_recipe
from iebench.training.loop import train
from iebench.training.run import Run
from shards.images import decode_jpeg, encode_jpeg
from shards.reader import read_samples
from shards.schema import open_dataset
from short_evaluations import PROBED, SHORT, mean_colors, values
from toys import reseal, rewrite_index


def test_probes_are_fitted_to_one_dataset_and_tested_on_another(toy_dataset: Path, toy_copy: Path):
    content = json.loads((toy_copy / "dataset.json").read_text())
    content["splits"]["train"] = {"shards": [], "objects": 0, "views": 0}
    rewrite_index(toy_copy, content)
    result = evaluate_encoder(mean_colors, toy_copy, fit=toy_dataset, config=SHORT, device="cpu")
    assert result.fit is not None
    assert (result.fit.location, result.fit.split) == (str(toy_dataset), "train")
    assert (result.test.location, result.test.split) == (str(toy_copy), "val")
    assert result.name == "views-fit-views"
    own = evaluate_encoder(mean_colors, toy_dataset, config=SHORT, device="cpu")
    assert values(result) == pytest.approx(values(own), rel=1e-4, abs=1e-5)


def test_a_set_with_validation_only_has_retrieval_and_names_what_is_left_out(
    run_folder: Path, toy_copy: Path
):
    content = json.loads((toy_copy / "dataset.json").read_text())
    content["splits"]["train"] = {"shards": [], "objects": 0, "views": 0}
    rewrite_index(toy_copy, content)
    result = evaluate_run(Run(run_folder), toy_copy, "cpu")
    assert {score.task for score in result.scores} == {"retrieval", "steps"}
    assert {item.task for item in result.left_out} >= PROBED
    reasons = {item.task: item.reason for item in result.left_out}
    assert all("name another one with --fit" in reasons[task] for task in PROBED)
    assert all("training views" in reasons[f"retrieval {gallery}"] for gallery in ("val-all", "train-train"))


def test_classes_that_the_fit_dataset_lacks_are_named_and_not_counted(toy_dataset: Path, toy_copy: Path):
    content = json.loads((toy_copy / "dataset.json").read_text())
    content["classes"][0] |= {"synset": "00000001", "name": "gadget"}
    rewrite_index(toy_copy, content)
    result = evaluate_encoder(mean_colors, toy_dataset, fit=toy_copy, config=SHORT, device="cpu")
    reasons = {item.task: item.reason for item in result.left_out}
    assert "objects of bottle are not counted" in reasons["classification"]
    top1 = result.find(TRAINED, "classification", "all", "top1")
    assert top1 is not None and top1.value is not None
    assert top1.objects == open_dataset(toy_dataset).split("val").objects


def test_datasets_without_a_common_class_are_not_classified(toy_dataset: Path, toy_copy: Path):
    content = json.loads((toy_copy / "dataset.json").read_text())
    for number, item in enumerate(content["classes"]):
        item["synset"] = f"{number:08d}"
    rewrite_index(toy_copy, content)
    result = evaluate_encoder(mean_colors, toy_dataset, fit=toy_copy, config=SHORT, device="cpu")
    assert not any(score.task.startswith("classification") for score in result.scores)
    assert {item.task for item in result.left_out if item.reason == "the datasets share no class"} == {
        task for task in PROBED if task.startswith("classification")
    }


def test_one_view_an_object_leaves_out_pairs_and_retrieval(run_folder: Path, toy_copy: Path):
    keep_first_views(toy_copy)
    result = evaluate_run(Run(run_folder), toy_copy, "cpu")
    assert {score.task for score in result.scores} == {
        "classification",
        "classification_1pct",
        "classification_10pct",
        "classification_knn",
        "pose",
        "latents",
    }
    reasons = {item.task: item.reason for item in result.left_out}
    assert set(reasons) == {"rotation", "color", "color_linear", "light", "retrieval"}
    assert set(reasons.values()) == {"the dataset has one view of each object"}


def keep_first_views(folder: Path) -> None:
    """Leaves the first view of each object."""
    content = json.loads((folder / "dataset.json").read_text())
    rewrite_index(folder, {**content, "views_per_object": 1})
    for split in open_dataset(folder).splits.values():
        for shard in split.shards:
            samples = [item for item in read_samples(folder / shard.name) if item["__key__"].endswith("-000")]
            reseal(folder, shard.name, samples)


def test_targets_that_do_not_vary_have_a_note_and_no_infinity(toy_copy: Path):
    for split in open_dataset(toy_copy).splits.values():
        for shard in split.shards:
            samples = list(read_samples(toy_copy / shard.name))
            for sample in samples:
                metadata = json.loads(sample["json"])
                metadata["latents"][3] = metadata["latents"][6] = 0.5
                sample["json"] = json.dumps(metadata).encode()
            reseal(toy_copy, shard.name, samples)
    result = evaluate_encoder(mean_colors, toy_copy, config=SHORT, device="cpu")
    color = result.find(TRAINED, "color", "all", "r2")
    assert color is not None
    assert color.value is None
    assert color.note
    json.loads(result.to_json())


def enlarge(folder: Path, size: int) -> None:
    """Gives every view of a dataset another size."""
    for split in open_dataset(folder).splits.values():
        for shard in split.shards:
            samples = list(read_samples(folder / shard.name))
            for sample in samples:
                image = Image.fromarray(decode_jpeg(sample["jpg"], "view")).resize((size, size))
                sample["jpg"] = encode_jpeg(np.array(image))
            reseal(folder, shard.name, samples)


@pytest.mark.slow
def test_a_run_is_evaluated_on_a_dataset_of_other_classes_and_size(
    toy_copy: Path, toy_dataset: Path, tmp_path: Path
):
    small = ["training.batch_size=4", "training.epochs=1", "training.workers=0", "evaluation.workers=0"]
    probes = ["evaluation.epochs=1", "evaluation.hidden_width=8", "evaluation.linear_color_epochs=1"]
    recipe = load_recipe("supervised", [*small, *probes])
    train(recipe, toy_dataset, tmp_path / "run", "cpu")
    content = json.loads((toy_copy / "dataset.json").read_text())
    content["classes"].append({"label": 3, "synset": "09999999", "name": "other"})
    rewrite_index(toy_copy, {**content, "image_size": 64})
    enlarge(toy_copy, 64)
    result = evaluate_run(Run(tmp_path / "run"), toy_copy, "cpu")
    assert result.test.classes == 4
