"""The programs in docs/format.md read a dataset."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from shards.reader import read_samples
from shards.schema import open_dataset
from toys import reseal, toy_passes, with_passes

FORMAT = Path(__file__).parents[2] / "docs" / "format.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", FORMAT.read_text(), re.DOTALL)


@pytest.fixture
def published(toy_dataset, tmp_path, monkeypatch):
    """A dataset with passes where the programs look for it."""
    folder = shutil.copytree(toy_dataset, tmp_path / "data" / "views")
    for shard in open_dataset(folder).splits["train"].shards:
        reseal(folder, shard.name, list(with_passes(read_samples(folder / shard.name))))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("program", PROGRAMS, ids=["views", "passes"])
def test_a_program_of_the_format_s_page_reads_a_dataset(published, program):
    found: dict = {}
    exec(program, found)
    if "depth" in found:
        assert np.abs(found["depth"] - toy_passes()["depth"]).max() < 1e-4
        assert np.array_equal(found["mask"], toy_passes()["mask"])
        assert np.allclose(found["normal"], toy_passes()["normal"], atol=0.01)
    else:
        assert len(found["view"]["json"]["latents"]) == 7 and found["view"]["jpg"].size == (32, 32)
