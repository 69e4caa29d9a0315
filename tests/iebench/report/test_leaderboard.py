import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from commands import call
from evaluations import made_up_evaluation, made_up_subject, write_evaluation
from iebench.evaluation.intervals import PerObject
from iebench.evaluation.results import EvaluatedData
from iebench.report.contenders import contenders_of
from iebench.report.leaderboard import Leaderboard, leaderboard
from iebench.report.leaderboard_files import as_csv, as_json, as_latex, as_text
from iebench.report.plots import line_style
from iebench.report.tradeoff import spread_out, tradeoff_panels

OFFICIAL = EvaluatedData("/data/3diebench", "sha", "val", 10_552, 50, 55, 256, "3diebench")


def board(test: EvaluatedData = OFFICIAL, **training: int) -> Leaderboard:
    """One made-up run beside the published rows."""
    generator = np.random.default_rng(0)
    names = {"classification": ("top1",), "rotation": ("r2", "r2_per_component"), "color": ("r2",)}
    scores = {
        f"trained/{task}/all/{metric}": PerObject.mean_of(0.7 + 0.1 * generator.normal(size=(40, 3)), 0.1)
        for task, metrics in names.items()
        for metric in metrics
    }
    recipe = {
        "method": {"name": "sie", "groups": ["rotation"]},
        "backbone": {"name": "sie_resnet18"},
        "training": {"seed": 0, "epochs": 2000, "batch_size": 1024, **training},
    }
    return leaderboard(contenders_of([made_up_subject("a_run", scores, recipe, ["rotation"], test)]))


def test_each_published_r2_stands_in_the_column_of_its_definition_only():
    rows = [standing for standing in board().standings if not standing.is_ours]
    by_source = {standing.source: standing.values for standing in rows}
    assert (
        "rotation_r2_per_component"
        not in by_source["EquiCaps, README of the code and abstract (arXiv 2506.09895)"]
    )
    assert "rotation_r2" not in by_source["seq-JEPA (arXiv 2505.03176), Table 11"]
    mixed = next(item for item in rows if "pools components" in item.note)
    assert "rotation_r2" not in mixed.values and "rotation_r2_per_component" not in mixed.values
    assert "0.74 of unknown definition" in mixed.note


def test_settings_that_differ_are_named_by_source():
    (note,) = board(epochs=100).notes
    assert "epochs (100, theirs 2000) from seq-JEPA (arXiv 2505.03176), Table 11" in note
    assert "image size (256, theirs 128), epochs (100, theirs 1000)" in note
    assert "backbone" not in note  # sie_resnet18 is a ResNet-18
    (same,) = board().notes
    assert "nothing that it states from seq-JEPA (arXiv 2505.03176), Table 11" in same


def test_another_dataset_is_said_to_be_no_comparison():
    (note,) = board(replace(OFFICIAL, objects=83, classes=18, views_per_object=12)).notes
    assert note.startswith("a_run: 83 validation objects of 18 classes with 12 views are not 3DIEBench’s")


def test_only_rows_on_the_same_variant_are_set_beside_ours():
    rows = board(replace(OFFICIAL, variant="ood")).standings
    assert {standing.variant for standing in rows} == {"ood"}
    assert len(rows) == 1 + 7


def test_csv_json_and_latex_hold_every_row_and_number():
    found = board()
    records = list(csv.DictReader(io.StringIO(as_csv(found))))
    content = json.loads(as_json(found))
    assert len(records) == len(content["rows"]) == len(found.standings)
    ours = content["rows"][0]
    assert ours["rotation_r2_low"] < ours["rotation_r2"] < ours["rotation_r2_high"]
    assert ours["published"] is False
    assert float(records[0]["rotation_r2"]) == ours["rotation_r2"]
    assert records[1]["rotation_r2_low"] == ""
    latex = as_latex(found)
    assert latex.count(r" \\") == len(found.standings) + 1
    assert r"a\_run" in latex and "%" not in latex.split(r"\toprule")[1].split(r"\bottomrule")[0].replace(
        r"\%", ""
    )
    text = as_text(found)
    assert "An R² stands in the column of its definition" in text
    assert "Not to be set beside validation numbers" in text  # retrieval among training objects


def test_the_command_prints_a_table_and_csv(toy_dataset, tmp_path):
    write_evaluation(tmp_path / "encoder", made_up_evaluation(toy_dataset))
    table = call("leaderboard", tmp_path / "encoder")
    assert table.code == 0
    assert "EquiCaps" in table.out
    records = list(csv.DictReader(io.StringIO(call("leaderboard", tmp_path / "encoder", "--csv").out)))
    assert records[0]["method"] == "encoder"
    missing = call("leaderboard", tmp_path / "nothing")
    assert missing.code == 2
    assert "has not been evaluated" in missing.error


def test_plots_hold_ours_and_the_published_points_of_their_definition():
    panels = tradeoff_panels(board().standings, {"a_run": line_style(0)})
    pooled, per_component = panels
    assert "a_run: top-1 " in pooled.description
    assert "EquiCaps: top-1 83.2%, R² 0.780" in pooled.description
    assert "BYOL: top-1 82.9%, R² 0.120" in per_component.description
    assert "EquiCaps" not in per_component.description
    assert "var(--series-1)" in pooled.svg
    assert pooled.svg.startswith("<svg ")


def test_a_title_with_dollar_signs_is_no_formula():
    (contender,) = contenders_of(
        [
            made_up_subject(
                r"$\frac{<b>$",
                {
                    f"trained/{path}": PerObject.mean_of(np.full((4, 2), 0.5))
                    for path in ("classification/all/top1", "rotation/all/r2")
                },
            )
        ]
    )
    (panel,) = tradeoff_panels(leaderboard([contender]).standings, {contender.title: line_style(0)})
    assert r"$\frac{&lt;b&gt;$" in panel.svg


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([0.1, 0.5], [0.1, 0.5]),
        ([0.50, 0.51], [0.485, 0.525]),
        ([0.0, 0.0, 0.9], [0.0, 0.04, 0.9]),
        ([0.3, 0.99, 1.0], [0.3, 0.96, 1.0]),
    ],
)
def test_names_are_moved_apart_as_little_as_needed(wanted: list[float], expected: list[float]):
    assert spread_out(wanted, 0.04) == pytest.approx(expected)
