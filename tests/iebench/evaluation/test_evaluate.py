import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from commands import call
from evaluations import metrics_without_format
from iebench.cli.evaluating import evaluate_run
from iebench.evaluation import evaluate_encoder
from iebench.evaluation.results import (
    TRAINED,
    UNTRAINED,
    EvaluationFile,
    ScoreKey,
    evaluation_names,
    read_evaluation,
)
from iebench.recipes.recipe import load_recipe
from iebench.training.loop import train
from iebench.training.run import Run, save_checkpoint
from shards.schema import open_dataset
from short_evaluations import PROBED, SHORT, mean_colors, values
from toys import rewrite_index


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


@pytest.mark.slow
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
    small = ["training.batch_size=4", "training.epochs=1", "training.workers=0"]
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
