"""What a dataset holds, counted."""

import json
from collections import Counter

import numpy as np
import pytest

from commands import call
from shards import tar
from shards.reader import read_views
from shards.schema import INDEX_NAME, open_dataset
from shards.statistics import dataset_statistics
from toys import reseal, rewrite_index, toy_samples


@pytest.mark.processes
def test_one_json_document_counts_what_the_views_say(toy_dataset):
    result = call("stats", toy_dataset, "--json", "--workers", "1")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    index = open_dataset(toy_dataset)
    assert found["variant"] == "3diebench" and found["channel_mean"] == list(index.channel_mean)
    assert found["channel_std"] == list(index.channel_std)
    latents = []
    for name, split in index.splits.items():
        views = list(read_views(toy_dataset, index, name))
        latents += [view.metadata.latents for view in views]
        counts = Counter(view.metadata.synset for view in views)
        objects = Counter(
            synset for synset, _ in {(view.metadata.synset, view.metadata.object) for view in views}
        )
        for item in found["classes"]:
            expected = {"objects": objects[item["synset"]], "views": counts[item["synset"]]}
            assert item["splits"][name] == expected
        assert found["splits"][name] == {
            "objects": split.objects,
            "views": split.views,
            "shards": len(split.shards),
            "bytes": sum((toy_dataset / shard.name).stat().st_size for shard in split.shards),
        }
    assert [item["name"] for item in found["latents"]] == [latent.name for latent in index.latents]
    for histogram, values in zip(found["latents"], np.array(latents).T, strict=True):
        counts, _ = np.histogram(values, histogram["edges"])
        assert counts.tolist() == histogram["counts"] and sum(counts) == 84 and histogram["outside"] == 0


@pytest.mark.processes
def test_text_names_every_class_and_draws_a_bar_for_every_bin(toy_dataset):
    result = call("stats", toy_dataset)
    assert result.code == 0, result.err
    for word in ("bottle", "chair", "mug", "train objects", "val views", "rotation_x", "light_hue", "bytes"):
        assert word in result.out
    line = next(line for line in result.out.splitlines() if line.startswith("floor_hue"))
    bars = line.split("|")[1]
    assert len(bars) == 20 and set(bars) <= set(" ▁▂▃▄▅▆▇█") and "█" in bars


@pytest.mark.processes
def test_two_processes_count_as_one_does(toy_dataset):
    index = open_dataset(toy_dataset)
    assert dataset_statistics(toy_dataset, index, workers=2) == dataset_statistics(toy_dataset, index)


@pytest.mark.processes
def test_latents_that_lie_nowhere_are_counted_as_such(toy_copy):
    content = json.loads((toy_copy / INDEX_NAME).read_text())
    content["latents"][3]["intervals"] = [[0.0, 0.5]]
    rewrite_index(toy_copy, content)
    index = open_dataset(toy_copy)
    histogram = dataset_statistics(toy_copy, index).latents[3]
    assert histogram.outside > 0 and sum(histogram.counts) + histogram.outside == 84
    assert f"{histogram.outside} outside" in call("stats", toy_copy, "--workers", "1").out


@pytest.mark.processes
@pytest.mark.parametrize("options", [(), ("--json", "--workers", "1")])
def test_a_broken_shard_is_one_sentence(toy_copy, options):
    path = toy_copy / "train-000000.tar"
    data = bytearray(path.read_bytes())
    data[150] ^= 1  # in the first header
    path.write_bytes(data)
    result = call("stats", toy_copy, *options)
    assert result.code == 1 and "train-000000.tar" in result.error and result.out == ""


@pytest.mark.processes
def test_metadata_that_cannot_be_read_is_one_sentence(toy_copy):
    samples = list(toy_samples("03797390", "mug1"))
    samples[2]["json"] = b"{}"
    reseal(toy_copy, "train-000000.tar", samples, objects=1)
    result = call("stats", toy_copy, "--workers", "1")
    assert result.code == 1 and "sample 03797390-mug1-002: its metadata cannot be read" in result.error


def test_images_are_not_read(toy_copy, monkeypatch):
    read = []
    original = tar.Member

    def member(name, data, start, size):
        read.append((name, len(data)))
        return original(name, data, start, size)

    monkeypatch.setattr(tar, "Member", member)
    dataset_statistics(toy_copy, open_dataset(toy_copy))
    assert {name.rpartition(".")[2] for name, size in read if size} == {"json"} and len(read) == 168
