"""The comparison of methods, at toy size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from iebench.training.metrics_log import read_metrics
from shards.schema import open_dataset

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "methods.py"
SMALL = [
    "evaluation.epochs=1",
    "evaluation.hidden_width=8",
    "evaluation.linear_color_epochs=1",
    "training.batch_size=4",
    "method.projector=[16, 8]",
]


@pytest.mark.slow
def test_recipes_are_compared_for_the_same_image_views_and_not_trained_twice(
    toy_dataset: Path, tmp_path: Path
):
    results, out = tmp_path / "RESULTS.md", tmp_path / "runs"
    results.write_text("# What was measured\n\n## Something else\nstays\n")
    overrides = [word for override in SMALL for word in ("--set", override)]
    command = [
        sys.executable,
        SCRIPT,
        "--data",
        toy_dataset,
        "--out",
        out,
        "--image-views",
        "72",
        "--threads",
        "1",
    ]
    command += ["--results", results, "--recipes", "sie", "vicreg", *overrides]
    first = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    text = results.read_text()
    assert "## Something else\nstays\n" in text
    assert "| `sie` |" in text
    assert "Equivariant methods hold more rotation than invariant ones: holds in" in text
    assert "not told apart in" in text
    assert (out / "report.html").is_file()
    objects = open_dataset(toy_dataset).splits["train"].objects
    steps = {
        name: read_metrics(out / f"{name}-seed0" / "metrics.jsonl")[-1]["step"] for name in ("sie", "vicreg")
    }
    assert set(steps.values()) == {round(72 / 2 / objects) * objects // 4}
    assert (
        json.loads((out / "sie-seed0" / "config.json").read_text())["recipe"]["method"]["equivariance"] == 2.0
    )

    times = [path.stat().st_mtime_ns for path in sorted(out.glob("*/evaluations/*.json"))]
    again = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert results.read_text() == text
    assert [path.stat().st_mtime_ns for path in sorted(out.glob("*/evaluations/*.json"))] == times
