import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from commands import call, run
from evaluations import metrics_without_format
from iebench.cli.evaluating import evaluate_run
from iebench.evaluation import EvaluationConfig, evaluate_encoder
from iebench.evaluation.results import (
    TRAINED,
    UNTRAINED,
    Evaluation,
    EvaluationFile,
    ScoreKey,
    evaluation_names,
    read_evaluation,
)
from iebench.recipes.recipe import load_recipe
from iebench.training.loop import train
from iebench.training.run import Run, save_checkpoint
from shards.errors import IebenchError, UsageError
from shards.images import decode_jpeg, encode_jpeg
from shards.reader import read_samples
from shards.schema import open_dataset
from small_runs import small_recipe
from toys import reseal, rewrite_index

SHORT = EvaluationConfig(epochs=2, linear_color_epochs=2, hidden_width=8, workers=0)
PROBED = {
    "classification",
    "classification_1pct",
    "classification_10pct",
    "rotation",
    "color",
    "color_linear",
}
PROBED |= {"light", "pose", "latents", "classification_knn"}


def mean_colors(images: Tensor) -> Tensor:
    """An encoder without weights: the mean color of each quarter of an image."""
    return nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)


@pytest.fixture(scope="module")
def trained(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run that was not evaluated; not to be changed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(small_recipe("training.epochs=2"), toy_dataset, folder, "cpu")
    return folder


@pytest.fixture
def run_folder(trained: Path, tmp_path: Path) -> Path:
    """A short run to evaluate."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture(scope="module")
def evaluated(trained: Path, toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run with its evaluation; not to be changed."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("evaluated") / "run")
    evaluate_run(Run(folder), toy_dataset, "cpu")
    return folder


@pytest.fixture
def colors(tmp_path: Path) -> list[str]:
    """Arguments of `iebench eval` for an encoder of 12 numbers; the last is the folder of its results."""
    (tmp_path / "encoder.py").write_text(
        "import torch\n"
        "def colors(images):\n"
        "    return torch.nn.functional.adaptive_avg_pool2d(images / 255, 2).flatten(1)\n"
    )
    short = {"epochs": 1, "linear_color_epochs": 1, "hidden_width": 8, "workers": 0}
    settings = [text for name, value in short.items() for text in ("--set", f"evaluation.{name}={value}")]
    return [f"{tmp_path}/encoder.py:colors", "--device", "cpu", *settings, "--out", str(tmp_path / "colors")]


def values(evaluation: Evaluation) -> dict[str, float | None]:
    return {score.stored_name: score.estimate.value for score in evaluation.scores}


def test_any_function_from_images_to_vectors_is_evaluated(toy_dataset: Path, tmp_path: Path):
    result = evaluate_encoder(
        mean_colors, toy_dataset, parts={"top": (0, 6)}, config=SHORT, out=tmp_path, device="cpu"
    )
    assert {(score.task, score.part) for score in result.scores} == {
        (task, part) for task in PROBED for part in ("all", "top")
    }
    floor = result.find(TRAINED, "latents", "all", "r2_floor_hue")
    assert floor and floor.value is not None and floor.low is not None
    assert result.complete
    assert result.networks[0].encoder == "mean_colors"
    assert EvaluationFile(tmp_path, "views").read() == result
    assert not (tmp_path / "features").exists()


def test_a_network_with_its_transform_is_evaluated_as_it_is_alone(toy_dataset: Path):
    network = nn.Linear(12, 5)
    result = evaluate_encoder(network, toy_dataset, transform=mean_colors, config=SHORT, device="cpu")
    alone = evaluate_encoder(
        lambda images: network(mean_colors(images)), toy_dataset, config=SHORT, device="cpu"
    )
    assert values(result) == pytest.approx(values(alone), rel=1e-4, abs=1e-5)


def test_both_networks_of_a_run_are_measured_by_every_metric(evaluated: Path):
    result = read_evaluation(evaluated)
    assert [network.role for network in result.networks] == [TRAINED, UNTRAINED]
    pre = {TRAINED: {"val-val", "val-all", "train-train"}, UNTRAINED: {"val-val"}}
    for title in (TRAINED, UNTRAINED):
        scores = result.estimates_of(title)
        for part in ("all", "invariant", "equivariant"):
            top1, top5 = (scores["classification", part, metric].value for metric in ("top1", "top5"))
            assert top1 is not None and top5 is not None
            assert 0 <= top1 <= top5 <= 1
            angle = scores["rotation", part, "median_angle"].value
            assert angle is not None
            assert 0 <= angle <= 180
        assert ("retrieval", "val-val", "mrr") in scores
        assert {part for task, part, metric in scores if task == "retrieval" and metric == "pre"} == pre[
            title
        ]
        assert ("retrieval", "val-gallery", "mrr") in scores
        assert ("steps", "val-val", "equivariance_error") in scores
        assert ("classification_knn", "all", "top1") in scores
    assert result.settings.protocol == "published"


def test_the_report_knows_every_metric_of_the_standard_suite(evaluated: Path):
    assert not metrics_without_format(read_evaluation(evaluated))


def test_a_file_names_the_networks_by_title_as_it_always_did(evaluated: Path):
    (path,) = (evaluated / "evaluations").glob("*.json")
    networks = json.loads(path.read_text())["networks"]
    assert [(network["title"], "role" in network) for network in networks] == [
        (TRAINED, False),
        (UNTRAINED, False),
    ]


def test_the_text_of_a_score_key_is_read_back_even_if_a_part_holds_slashes():
    key = ScoreKey("retrieval", "sha256/val-val", "h@1")
    assert key.text() == "retrieval/sha256/val-val/h@1"
    assert ScoreKey.parse(key.text()) == key
    assert ScoreKey.parse_of(key.text_of(TRAINED)) == (TRAINED, key)


def test_the_content_of_the_file_is_strict_json(evaluated: Path):
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for path in (evaluated / "evaluations").glob("*.json"):
        json.loads(path.read_text(), parse_constant=refuse)


def test_what_objects_contribute_stands_beside_the_scores(evaluated: Path):
    result = read_evaluation(evaluated)
    contributions = EvaluationFile(evaluated, result.name).per_object()
    assert set(contributions) == {score.stored_name for score in result.scores}
    for score in result.scores:
        assert contributions[score.stored_name].value == score.estimate.value


@pytest.mark.slow
def test_a_method_without_a_predictor_has_no_retrieval_and_all_else(toy_dataset: Path, tmp_path: Path):
    small = ["backbone.name=resnet18", "training.batch_size=4", "training.epochs=1", "training.workers=0"]
    probes = ["evaluation.epochs=1", "evaluation.hidden_width=8", "evaluation.linear_color_epochs=1"]
    recipe = load_recipe("vicreg", ["method.projector=[32, 16]", *small, *probes, "evaluation.workers=0"])
    train(recipe, toy_dataset, tmp_path / "run", "cpu")
    result = evaluate_run(Run(tmp_path / "run"), toy_dataset, "cpu")
    assert {score.task for score in result.scores} == PROBED
    assert {score.part for score in result.scores} == {"all"}


def test_evaluations_of_other_names_stay_side_by_side(colors: list[str], toy_dataset: Path, toy_copy: Path):
    run_folder = Path(colors[-1])
    arguments = ["eval", *colors, "--data"]
    assert call(*arguments, toy_dataset).code == 0
    rewrite_index(toy_copy, {**json.loads((toy_copy / "dataset.json").read_text()), "seed": 99})
    refused = call(*arguments, toy_copy)
    assert refused.code == 2
    assert "views.json holds another evaluation" in refused.error
    assert "choose another --name, or replace it with --force" in refused.error
    assert call(*arguments, toy_copy, "--name", "other").code == 0
    assert evaluation_names(run_folder) == ["views", "other"]
    assert call(*arguments, toy_copy, "--force").code == 0
    assert read_evaluation(run_folder, "views").test.location == str(toy_copy)
    assert call(*arguments, toy_dataset, "--name", "../up").code == 2


def test_a_complete_evaluation_is_not_done_again(evaluated: Path, toy_dataset: Path, monkeypatch):
    monkeypatch.setattr(
        "iebench.evaluation.feature_reader.extract_features",
        lambda *_: pytest.fail("a second pass over the shards"),
    )
    before = [path.stat().st_mtime_ns for path in sorted((evaluated / "evaluations").iterdir())]
    printed = call("eval", evaluated, "--data", toy_dataset, "--device", "cpu", "--json")
    assert printed.code == 0
    assert "is complete and is not measured again; --force measures all of it anew" in printed.err
    (content,) = json.loads(printed.out).values()
    assert content["complete"]
    assert before == [path.stat().st_mtime_ns for path in sorted((evaluated / "evaluations").iterdir())]


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


@pytest.mark.slow
def test_several_runs_are_evaluated_in_one_pass(
    trained: Path, toy_dataset: Path, tmp_path: Path, monkeypatch
):
    from shards import stream

    runs = [shutil.copytree(trained, tmp_path / name) for name in ("a", "b")]
    passes: list[str] = []
    views = stream.ViewStream.__iter__

    def counted(self):
        passes.append(self.split)
        return views(self)

    monkeypatch.setattr(stream.ViewStream, "__iter__", counted)
    result = call("eval", *runs, "--data", toy_dataset, "--device", "cpu")
    assert result.code == 0, result.err
    assert sorted(passes) == ["train", "val"]
    first, second = (read_evaluation(folder) for folder in runs)
    assert first.estimates_of(TRAINED) == second.estimates_of(TRAINED)
    assert first.estimates_of(UNTRAINED) == second.estimates_of(UNTRAINED)
    assert f"== {runs[1]}" in result.out


@pytest.mark.slow
def test_the_untrained_network_is_measured_once_for_all_runs(
    trained: Path, toy_dataset: Path, tmp_path: Path, monkeypatch
):
    first, second = (shutil.copytree(trained, tmp_path / name) for name in ("a", "b"))
    expected = evaluate_run(Run(first), toy_dataset, "cpu")
    state = torch.load(Run(second).last_checkpoint, weights_only=True)
    state["model"]["backbone.conv1.weight"] *= 1.1
    save_checkpoint(Run(second).last_checkpoint, state)
    from iebench.evaluation import feature_reader

    passed: list[int] = []
    extract = feature_reader.extract_features
    monkeypatch.setattr(
        feature_reader,
        "extract_features",
        lambda encoders, *rest: passed.append(len(encoders)) or extract(encoders, *rest),
    )
    found = evaluate_run(Run(second), toy_dataset, "cpu")
    assert passed == [1, 1]
    assert found.estimates_of(UNTRAINED) == expected.estimates_of(UNTRAINED)
    assert found.estimates_of(TRAINED) != expected.estimates_of(TRAINED)


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_where_it_was(
    run_folder: Path, evaluated: Path, toy_dataset: Path, monkeypatch
):
    from iebench.evaluation import session

    fit, done = session.fit_probes, []

    def killed(probes, *rest):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(probes)
        return fit(probes, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(session, "fit_probes", killed)
        with pytest.raises(KeyboardInterrupt):
            evaluate_run(Run(run_folder), toy_dataset, "cpu")
    partial = read_evaluation(run_folder)
    assert not partial.complete
    assert {(score.network, score.task, score.part) for score in partial.scores} == {
        (probe_title, probe.task.name, probe.part)
        for probes in done
        for probe in probes
        for probe_title in (TRAINED, UNTRAINED)
    }
    monkeypatch.setattr("iebench.evaluation.features._extract_chunk", lambda *_: pytest.fail("a second pass"))
    again: list[object] = []
    monkeypatch.setattr(
        session, "fit_probes", lambda probes, *rest: again.extend(probes) or fit(probes, *rest)
    )
    result = evaluate_run(Run(run_folder), toy_dataset, "cpu")
    assert result.complete
    assert not {(probe.fingerprint, probe.part, probe.task.name) for probe in again} & {
        (probe.fingerprint, probe.part, probe.task.name) for probes in done for probe in probes
    }
    assert values(result) == pytest.approx(values(read_evaluation(evaluated)), rel=1e-4, abs=1e-5)
    assert not (run_folder / "features").exists()


@pytest.mark.slow
def test_features_are_kept_if_asked_for(run_folder: Path, toy_dataset: Path):
    result = call("eval", run_folder, "--data", toy_dataset, "--device", "cpu", "--keep-features")
    assert result.code == 0, result.err
    kept = np.load(run_folder / "features" / "views" / "trained" / "val" / "features.npy", mmap_mode="r")
    assert kept.dtype == np.float16
    assert kept.shape == (open_dataset(toy_dataset).split("val").views, 512)


def test_settings_of_an_evaluation_are_overridden_and_recorded(colors: list[str], toy_dataset: Path):
    arguments = ["eval", *colors, "--data", toy_dataset, "--set"]
    assert call(*arguments, "evaluation.protocol=thorough").code == 0
    settings = read_evaluation(Path(colors[-1])).settings
    assert (settings.protocol, settings.epochs) == ("thorough", 1)
    assert "takes evaluation.FIELD=VALUE" in call(*arguments, "training.epochs=3").error
    assert "did you mean" in call(*arguments, "evaluation.epoch=3").error


def test_an_old_result_is_one_sentence(run_folder: Path):
    (run_folder / "eval.json").write_text("{}")
    with pytest.raises(UsageError, match="is of an older iebench"):
        read_evaluation(run_folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"format": 9}'])
def test_a_result_that_cannot_be_read_is_one_sentence(evaluated: Path, tmp_path: Path, content: str):
    file = EvaluationFile(tmp_path, "views")
    file.write(read_evaluation(evaluated))
    file.path.write_text(content)
    with pytest.raises(IebenchError, match="evaluate again with --force"):
        read_evaluation(tmp_path)


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


@pytest.mark.parametrize(
    ("encoder", "sentence"),
    [
        (lambda images: images.float().mean(dim=(2, 3)) / 0, "gives NaN or infinite numbers"),
        (lambda images: torch.zeros(len(images), len(images) + 1), "of one width"),
        (lambda images: nn.Linear(7, 3)(images.float().flatten(1)), "fails on images of 32 x 32 px"),
        (lambda images: 1e6 + images.float().mean(dim=(2, 3)), "which float16 cannot hold"),
    ],
)
def test_a_broken_encoder_is_one_sentence(toy_dataset: Path, encoder, sentence: str):
    with pytest.raises(IebenchError, match=sentence):
        evaluate_encoder(encoder, toy_dataset, config=SHORT, device="cpu")


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


def test_a_run_without_checkpoint_is_one_sentence(toy_dataset: Path, tmp_path: Path):
    Run(tmp_path / "run").create(small_recipe(), toy_dataset, open_dataset(toy_dataset))
    result = call("eval", tmp_path / "run", "--data", toy_dataset, "--device", "cpu")
    assert result.code == 2
    assert "no checkpoint" in result.error


@pytest.mark.processes
def test_a_folder_that_is_no_run_is_one_sentence(toy_dataset: Path, tmp_path: Path):
    result = run("eval", tmp_path, "--data", toy_dataset)
    assert result.code == 2
    assert "holds no run" in result.error


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half"])
def test_a_broken_checkpoint_is_one_sentence(toy_dataset: Path, tmp_path: Path, content: bytes):
    run_folder = Run(tmp_path / "run")
    run_folder.create(small_recipe(), toy_dataset, open_dataset(toy_dataset))
    run_folder.last_checkpoint.write_bytes(content)
    with pytest.raises(IebenchError, match="cannot be read"):
        evaluate_run(run_folder, toy_dataset, "cpu")


def test_a_checkpoint_that_would_run_code_is_not_loaded(toy_dataset: Path, tmp_path: Path):
    run_folder = Run(tmp_path / "run")
    run_folder.create(small_recipe(), toy_dataset, open_dataset(toy_dataset))
    torch.save({"model": {"weight": Path("somewhere")}}, run_folder.last_checkpoint)
    with pytest.raises(IebenchError, match="cannot be read"):
        evaluate_run(run_folder, toy_dataset, "cpu")


def test_a_checkpoint_of_another_recipe_is_one_sentence(toy_dataset: Path, tmp_path: Path):
    run_folder = Run(tmp_path / "run")
    run_folder.create(small_recipe(), toy_dataset, open_dataset(toy_dataset))
    save_checkpoint(run_folder.last_checkpoint, {"model": {"other": torch.zeros(1)}})
    with pytest.raises(IebenchError, match="does not fit"):
        evaluate_run(run_folder, toy_dataset, "cpu")


def test_a_dataset_without_validation_objects_is_an_error(toy_copy: Path, evaluated: Path):
    content = json.loads((toy_copy / "dataset.json").read_text())
    content["splits"]["val"] = {"shards": [], "objects": 0, "views": 0}
    (toy_copy / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="no view in split 'val'"):
        evaluate_run(Run(evaluated), toy_copy, "cpu")
