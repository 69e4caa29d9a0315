"""The comparison on recorded augmentations, at toy size."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from commands import call
from warm_start import run_warm

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "augmentations.py"
SMALL = [
    "training.batch_size=4",
    "training.epochs=1",
    "training.workers=0",
    "backbone.name=resnet10",
    "evaluation.epochs=1",
    "evaluation.hidden_width=8",
    "evaluation.steering_objects=4",
]


@pytest.mark.slow
def test_recipes_are_compared_on_one_view_of_each_object_and_not_trained_twice(
    toy_copy: Path, tmp_path: Path, run_here: Callable[..., None]
):
    import augmentations

    assert call("index", toy_copy, "--workers", "1").code == 0
    results, out = tmp_path / "RESULTS.md", tmp_path / "runs"
    results.write_text("# What was measured\n\n## Something else\nstays\n")
    overrides = [word for override in SMALL for word in ("--set", override)]
    options = ["--from-views", toy_copy, "--out", out, "--seeds", "1", "--threads", "1"]
    options += ["--results", results, "--recipes", "simclr", "steerable", *overrides]
    command = [sys.executable, SCRIPT, *options]
    first = run_warm(command)
    assert first.returncode == 0, first.stderr[-3000:]
    text = results.read_text()
    assert "## Something else\nstays\n" in text
    assert "| `simclr` |" in text and "| color_jitter: absolute |" in text
    assert "64 steps of one encoding against 64 encodings: `steerable`" in text
    times = [path.stat().st_mtime_ns for path in sorted(out.glob("*/evaluations/*.json"))]
    assert len(times) == 2
    run_here(augmentations.main, *options)
    assert [path.stat().st_mtime_ns for path in sorted(out.glob("*/evaluations/*.json"))] == times
