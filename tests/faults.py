"""Samples and datasets with a fault of the test's choice, and what `verify` says of them."""

import json
from collections.abc import Sequence
from pathlib import Path

from shards.passes import PASSES, Pass
from shards.samples import Sample, encode_sample
from shards.schema import INDEX_NAME, SampleMetadata, parse_index
from shards.verify import verify_dataset
from toys import reseal, rewrite_index, toy_samples

SHARD = "train-000000.tar"
MUG = "03797390-mug91"
"""An object that is not in the toy dataset."""


def problems(folder: Path, workers: int = 1) -> list[str]:
    """What is wrong with a dataset, in words."""
    index = parse_index(folder / INDEX_NAME)
    return [str(problem) for problem in verify_dataset(folder, index, workers=workers)]


def samples_with(changed: int, **metadata: object) -> list[Sample]:
    """The views of a mug, with other metadata for one of them, which then has no checksum."""
    samples = list(toy_samples("03797390", "mug91"))
    if metadata:
        content = {**json.loads(samples[changed]["json"]), **metadata}
        del content["crc32"]
        samples[changed]["json"] = json.dumps(content).encode()
    return samples


def checked(sample: Sample, **members: bytes) -> Sample:
    """A sample with other members, ``_`` in their names for a dot, and the checksum that goes with them."""
    kept = {name: data for name, data in sample.items() if name not in ("__key__", "json")}
    others = {name.replace("_", "."): data for name, data in members.items()}
    return encode_sample(SampleMetadata.model_validate_json(sample["json"]), {**kept, **others})


def reseal_with_passes(folder: Path, samples: list[Sample], passes: Sequence[Pass] = PASSES) -> None:
    """A dataset whose only shard has passes, and says so."""
    reseal(folder, SHARD, samples, objects=1)
    content = json.loads((folder / INDEX_NAME).read_text())
    train = content["splits"]["train"]
    train["shards"] = [shard for shard in train["shards"] if shard["name"] == SHARD]
    train.update(objects=1, views=len(samples))
    content["splits"]["val"] = {"shards": [], "objects": 0, "views": 0}
    for path in folder.glob("*.tar"):
        if path.name != SHARD:
            path.unlink()
    rewrite_index(folder, {**content, "passes": list(passes)})
