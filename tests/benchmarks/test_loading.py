"""The benchmarks of loading and training, at toy size."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


def output_of(script: str, *arguments: object) -> str:
    """What a benchmark prints."""
    command = [sys.executable, SCRIPTS / script, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


@pytest.mark.slow
def test_loaders_are_compared_in_one_table():
    small = ("--objects", 12, "--views", 4, "--rounds", 1, "--images", 24, "--batch-size", 4)
    text = output_of("load_speed.py", *small)
    assert text.count("| pair stream") == 3
    assert "| stream of pictures |" in text and "`ImageFolder`, Pillow" in text
    assert "bare `torchvision.io.decode_jpeg`" in text and "Two workers against one" in text


@pytest.mark.slow
def test_the_memory_of_workers_is_told_for_every_pass():
    text = output_of("load_memory.py", "--objects", 12, "--views", 4, "--passes", 3, "--batch-size", 4)
    assert [line.split()[1] for line in text.splitlines()[2:]] == ["1", "2", "3"]


@pytest.mark.slow
def test_a_step_fed_by_the_stream_is_compared_with_one_on_tensors_in_memory(toy_dataset: Path):
    small = ("--rounds", 1, "--steps", 1, "--threads", 1, "--set", "training.batch_size=4")
    text = output_of("train_speed.py", "--data", toy_dataset, *small)
    assert "from the stream" in text and "random tensors in memory" in text
