import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from commands import call, run
from iebench.evaluation.evaluate import evaluate
from iebench.evaluation.features import extract_features
from iebench.recipes.recipe import load_recipe
from iebench.training.loop import train
from iebench.training.model import build_model
from iebench.training.run import Run, save_checkpoint
from shards.errors import IebenchError, UsageError
from shards.images import decode_jpeg, encode_jpeg
from shards.reader import read_samples, read_views
from shards.schema import open_dataset
from small_runs import small_recipe
from toys import reseal, rewrite_index


@pytest.fixture(scope="module")
def evaluated(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run with its evaluation, not to be changed."""
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    train(small_recipe("training.epochs=2"), toy_dataset, folder, "cpu")
    evaluate(Run(folder), toy_dataset, "cpu")
    return folder


def test_the_frozen_pass_sees_every_view_once_in_order(toy_dataset: Path):
    index = open_dataset(toy_dataset)
    model = build_model(small_recipe(), index)
    seen: list[int] = []
    model.backbone.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    features = extract_features(model, toy_dataset, index, "train", 5, torch.device("cpu"))
    views = list(read_views(toy_dataset, index, "train"))
    assert sum(seen) == len(views) == features.representations[..., 0].numel()
    latents = torch.tensor([view.metadata.latents for view in views], dtype=torch.float64)
    assert torch.equal(features.latents.flatten(0, 1), latents)
    assert features.names == list(
        dict.fromkeys((view.metadata.synset, view.metadata.object) for view in views)
    )


def test_representations_of_a_view_do_not_depend_on_its_batch(toy_dataset: Path):
    index = open_dataset(toy_dataset)
    model = build_model(small_recipe(), index)
    one, many = (
        extract_features(model, toy_dataset, index, "val", size, torch.device("cpu")) for size in (1, 64)
    )
    torch.testing.assert_close(one.representations, many.representations, rtol=1e-4, atol=1e-5)


def test_both_networks_are_measured_by_every_metric(evaluated: Path):
    result = json.loads((evaluated / "eval.json").read_text())
    assert set(result["networks"]) == {"trained", "untrained"}
    for network in result["networks"].values():
        assert set(network) == {"classification", "rotation", "color", "light", "retrieval"}
        for part in ("whole", "invariant", "equivariant"):
            assert (
                0 <= network["classification"][part]["top1"] <= network["classification"][part]["top5"] <= 1
            )
            assert 0 <= network["rotation"][part]["median_angle"] <= 180
        assert {"mrr", "h@1", "h@5", "h@10", "pre"} == set(network["retrieval"])


def test_a_method_without_a_predictor_has_no_retrieval_and_all_else(toy_dataset: Path, tmp_path: Path):
    small = ["training.batch_size=4", "training.epochs=1", "training.workers=0"]
    probes = ["evaluation.epochs=1", "evaluation.hidden_width=8"]
    recipe = load_recipe("vicreg", ["method.projector=[32, 16]", *small, *probes])
    train(recipe, toy_dataset, tmp_path / "run", "cpu")
    result = evaluate(Run(tmp_path / "run"), toy_dataset, "cpu")
    assert result["retrieval_examples"] == []
    for network in result["networks"].values():
        assert network["retrieval"] is None
        assert set(network["classification"]) == set(network["rotation"]) == {"whole"}
    table = call("report", tmp_path / "run", "--out", tmp_path / "report.html")
    assert table.code == 0
    page = (tmp_path / "report.html").read_text()
    assert "VICReg was trained" in page
    assert "It has no predictor that steers embeddings, so there is no MRR, H@k or PRE." in page


def test_examples_name_views_of_validation_objects(evaluated: Path, toy_dataset: Path):
    result = json.loads((evaluated / "eval.json").read_text())
    index = open_dataset(toy_dataset)
    known = {(view.metadata.synset, view.metadata.object) for view in read_views(toy_dataset, index, "val")}
    assert result["retrieval_examples"]
    for example in result["retrieval_examples"]:
        assert (example["synset"], example["object"]) in known
        assert sorted(example["retrieved"]) == list(range(index.views_per_object))


def test_evaluating_twice_gives_the_same_numbers(evaluated: Path, toy_dataset: Path):
    before = json.loads((evaluated / "eval.json").read_text())
    assert evaluate(Run(evaluated), toy_dataset, "cpu")["networks"] == before["networks"]


def enlarge(folder: Path, size: int) -> None:
    """Gives every view of a dataset another size."""
    for split in open_dataset(folder).splits.values():
        for shard in split.shards:
            samples = list(read_samples(folder / shard.name))
            for sample in samples:
                image = Image.fromarray(decode_jpeg(sample["jpg"], "view")).resize((size, size))
                sample["jpg"] = encode_jpeg(np.array(image))
            reseal(folder, shard.name, samples)


def test_a_run_is_evaluated_on_a_dataset_of_other_classes_and_size(
    toy_copy: Path, toy_dataset: Path, tmp_path: Path
):
    small = ["training.batch_size=4", "training.epochs=1", "training.workers=0"]
    probes = ["evaluation.epochs=1", "evaluation.hidden_width=8"]
    recipe = load_recipe("supervised", [*small, *probes])
    train(recipe, toy_dataset, tmp_path / "run", "cpu")
    content = json.loads((toy_copy / "dataset.json").read_text())
    content["classes"].append({"label": 3, "synset": "09999999", "name": "other"})
    rewrite_index(toy_copy, {**content, "image_size": 128})
    enlarge(toy_copy, 128)
    result = evaluate(Run(tmp_path / "run"), toy_copy, "cpu")
    assert result["chance"]["top1"] == 0.25
    assert Run(tmp_path / "run").recipe().backbone.small_image_stem is True


def test_a_run_without_checkpoint_is_one_sentence(toy_dataset: Path, tmp_path: Path):
    recipe = small_recipe()
    Run(tmp_path / "run").create(recipe, toy_dataset)
    result = call("eval", tmp_path / "run", "--data", toy_dataset)
    assert result.code == 2
    assert "no checkpoint" in result.error


def test_a_folder_that_is_no_run_is_one_sentence(toy_dataset: Path, tmp_path: Path):
    result = run("eval", tmp_path, "--data", toy_dataset)
    assert result.code == 2
    assert "holds no run" in result.error


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half"])
def test_a_broken_checkpoint_is_one_sentence(toy_dataset: Path, tmp_path: Path, content: bytes):
    run_folder = Run(tmp_path / "run")
    run_folder.create(small_recipe(), toy_dataset)
    run_folder.last_checkpoint.write_bytes(content)
    with pytest.raises(IebenchError, match="cannot be read"):
        evaluate(run_folder, toy_dataset, "cpu")


def test_a_checkpoint_that_would_run_code_is_not_loaded(toy_dataset: Path, tmp_path: Path):
    run_folder = Run(tmp_path / "run")
    run_folder.create(small_recipe(), toy_dataset)
    torch.save({"model": {"weight": Path("somewhere")}}, run_folder.last_checkpoint)
    with pytest.raises(IebenchError, match="cannot be read"):
        evaluate(run_folder, toy_dataset, "cpu")


def test_a_checkpoint_of_another_recipe_is_one_sentence(toy_dataset: Path, tmp_path: Path):
    run_folder = Run(tmp_path / "run")
    run_folder.create(small_recipe(), toy_dataset)
    save_checkpoint(run_folder.last_checkpoint, {"model": {"other": torch.zeros(1)}})
    with pytest.raises(IebenchError, match="does not fit"):
        evaluate(run_folder, toy_dataset, "cpu")


def test_a_dataset_without_validation_objects_is_an_error(toy_copy: Path, evaluated: Path):
    content = json.loads((toy_copy / "dataset.json").read_text())
    content["splits"]["val"] = {"shards": [], "objects": 0, "views": 0}
    (toy_copy / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="no view in split 'val'"):
        evaluate(Run(evaluated), toy_copy, "cpu")
