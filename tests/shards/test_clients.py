"""Programs that know nothing of iebench read its shards, and find what its own reader finds."""

import io
import json
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from shards.card import card_text
from shards.passes import PASSES, member_of
from shards.reader import View, read_samples, read_views
from shards.schema import open_dataset
from toys import reseal, rewrite_index, toy_passes, with_passes

SPLITS = ("train", "val")
FORMAT = Path(__file__).parents[2] / "docs" / "format.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", FORMAT.read_text(), re.DOTALL)
VIEWS_PROGRAM, PASSES_PROGRAM, DATASETS_PROGRAM = (text for text in PROGRAMS if "for view in" in text)


@pytest.fixture(scope="module", params=[(), PASSES], ids=["views", "views and passes"])
def published(request, toy_dataset, tmp_path_factory) -> Path:
    """A dataset as it would be uploaded, without and with passes."""
    folder = shutil.copytree(toy_dataset, tmp_path_factory.mktemp("published") / "data" / "views")
    if request.param:
        for split in open_dataset(folder).splits.values():
            for shard in split.shards:
                reseal(folder, shard.name, list(with_passes(read_samples(folder / shard.name))))
        content = open_dataset(folder).model_dump(mode="json")
        rewrite_index(folder, {**content, "passes": list(request.param)})
    (folder / "README.md").write_text(card_text(open_dataset(folder)))
    return folder


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Hugging Face's library, which asks no server and leaves nothing behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hugging_face")))
        import datasets

        yield datasets


def own_views(folder: Path, split: str) -> list[View]:
    views = list(read_views(folder, open_dataset(folder), split))
    assert views
    return views


def same(found: dict, view: View) -> bool:
    """Whether another program's sample, whose images Pillow opened, is the view that our reader gave."""
    values = {name: np.asarray(found[member_of(name)]) for name in view.passes}
    scale = found["json"].get("depth_scale")
    return (
        found["__key__"] == view.metadata.key
        and tuple(found["json"]["latents"]) == view.metadata.latents
        and found["json"]["label"] == view.metadata.label
        and np.array_equal(np.asarray(found["jpg"]), view.pixels())
        and ("mask" not in values or np.array_equal(values["mask"] == 255, view.mask()))
        and ("depth" not in values or np.allclose(values["depth"] * scale, view.depth(), atol=1e-6))
        and (
            "normal" not in values or np.allclose((values["normal"] - 128.0) / 127, view.normal(), atol=0.01)
        )
    )


def opened(sample: dict) -> dict:
    """Raw members as Pillow and json read them."""
    return {
        name: json.loads(data)
        if name == "json"
        else Image.open(io.BytesIO(data))
        if isinstance(data, bytes)
        else data
        for name, data in sample.items()
    }


@pytest.mark.parametrize("split", SPLITS)
def test_tarfile_reads_the_shards(published, split):
    found: dict[str, dict] = {}
    for path in sorted(published.glob(f"{split}-*.tar")):
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, _, extension = member.name.partition(".")
                found.setdefault(key, {"__key__": key})[extension] = tar.extractfile(member).read()
    views = own_views(published, split)
    assert all(same(opened(sample), view) for sample, view in zip(found.values(), views, strict=True))


@pytest.mark.parametrize("split", SPLITS)
def test_webdataset_reads_the_shards(published, split):
    paths = [str(path) for path in sorted(published.glob(f"{split}-*.tar"))]
    found = list(webdataset.WebDataset(paths, shardshuffle=False, empty_check=False))
    views = own_views(published, split)
    assert all(same(opened(sample), view) for sample, view in zip(found, views, strict=True))


@pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "copied"])
@pytest.mark.parametrize("by_card", [True, False], ids=["card", "files"])
def test_hugging_face_datasets_reads_the_shards(published, datasets, tmp_path, by_card, streaming):
    files = {split: str(published / f"{split}-*.tar") for split in SPLITS}
    arguments = [str(published)] if by_card else ["webdataset"]
    loaded = datasets.load_dataset(
        *arguments, data_files=None if by_card else files, streaming=streaming, cache_dir=str(tmp_path)
    )
    assert tuple(loaded) == SPLITS
    for split in SPLITS:
        views = own_views(published, split)
        assert all(same(sample, view) for sample, view in zip(loaded[split], views, strict=True))


@pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "copied"])
def test_by_the_card_notes_that_come_late_are_not_lost(toy_copy, datasets, tmp_path, streaming):
    samples = list(read_samples(toy_copy / "train-000000.tar"))
    late = {**json.loads(samples[15]["json"]), "scale": 0.5, "notes": ["texture a.png is missing"]}
    samples[15]["json"] = json.dumps(late).encode()
    (toy_copy / "README.md").write_text(card_text(reseal(toy_copy, "train-000000.tar", samples)))
    loaded = datasets.load_dataset(
        str(toy_copy), split="train", streaming=streaming, cache_dir=str(tmp_path / "cache")
    )
    found = [sample["json"] for sample in loaded]
    assert (found[15]["scale"], found[15]["notes"]) == (0.5, ["texture a.png is missing"])
    assert found[0]["scale"] is None


@pytest.mark.parametrize("program", [VIEWS_PROGRAM, DATASETS_PROGRAM], ids=["webdataset", "datasets"])
def test_a_program_of_the_format_s_page_reads_views(published, datasets, monkeypatch, program):
    monkeypatch.chdir(published.parents[1])
    found: dict = {}
    exec(program, found)
    assert len(found["view"]["json"]["latents"]) == 7 and found["view"]["jpg"].size == (32, 32)


@pytest.mark.parametrize("published", [PASSES], indirect=True)
def test_a_program_of_the_format_s_page_reads_passes(published, monkeypatch):
    monkeypatch.chdir(published.parents[1])
    found: dict = {}
    exec(PASSES_PROGRAM, found)
    assert np.abs(found["depth"] - toy_passes()["depth"]).max() < 1e-4
    assert np.array_equal(found["mask"], toy_passes()["mask"])
    assert np.allclose(found["normal"], toy_passes()["normal"], atol=0.01)
