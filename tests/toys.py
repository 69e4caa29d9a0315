"""A dataset without Blender: its views are drawn with NumPy, all else is as a render leaves it."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from shards.files import sha256_of
from shards.images import encode_jpeg
from shards.passes import DEPTH_SCALE, PASSES, Pass, encode_pass, member_of
from shards.samples import Sample, encode_sample
from shards.schema import (
    INDEX_NAME,
    ClassInfo,
    DatasetIndex,
    SampleMetadata,
    SplitInfo,
    split_of,
)
from shards.variants import VARIANTS, draw_latents
from shards.writer import seal_shard

CLASSES = {"02876657": "bottle", "03001627": "chair", "03797390": "mug"}
OBJECTS_PER_CLASS = 7
VIEWS = 4
SIZE = 32
OBJECTS_PER_SHARD = 5
SEED = 3


def make_toy_dataset(folder: Path, classes: Mapping[str, str] = CLASSES) -> DatasetIndex:
    """Writes classes of 7 objects of 4 views of 32 px; all three have several train shards and at least one for val."""
    folder.mkdir(parents=True, exist_ok=True)
    objects = [
        (synset, f"{name}{number}") for synset, name in classes.items() for number in range(OBJECTS_PER_CLASS)
    ]
    splits = {}
    for split in ("train", "val"):
        members = [item for item in objects if split_of(*item) == split]
        shards = []
        for number, start in enumerate(range(0, len(members), OBJECTS_PER_SHARD)):
            chosen = members[start : start + OBJECTS_PER_SHARD]
            samples = (sample for item in chosen for sample in toy_samples(*item))
            shards.append(seal_shard(folder / f"{split}-{number:06d}.tar", samples, len(chosen)))
        splits[split] = SplitInfo(shards=tuple(shards), objects=len(members), views=len(members) * VIEWS)
    index = DatasetIndex(
        variant="3diebench",
        latents=VARIANTS["3diebench"],
        classes=tuple(
            ClassInfo(label=label, synset=synset, name=name)
            for label, (synset, name) in enumerate(classes.items())
        ),
        image_size=SIZE,
        views_per_object=VIEWS,
        seed=SEED,
        channel_mean=(0.5, 0.5, 0.5),
        channel_std=(0.25, 0.25, 0.25),
        splits=splits,
    )
    (folder / INDEX_NAME).write_text(index.to_json())
    return index


def toy_samples(synset: str, object_id: str, views: int = VIEWS) -> Iterator[Sample]:
    """The views of one object."""
    label = sorted(CLASSES).index(synset)
    for view in range(views):
        latents = draw_latents(VARIANTS["3diebench"], SEED, synset, object_id, view)
        metadata = SampleMetadata(
            synset=synset, object=object_id, view=view, label=label, latents=tuple(latents.tolist())
        )
        yield encode_sample(metadata, {"jpg": encode_jpeg(toy_image(label, object_id, latents))})


def with_passes(samples: Iterable[Sample], passes: Sequence[Pass] = PASSES) -> Iterator[Sample]:
    """The samples with passes of a disk that floats before a wall."""
    stored = {member_of(name): encode_pass(name, toy_passes()[name]) for name in passes}
    for sample in samples:
        metadata = SampleMetadata.model_validate_json(sample["json"])
        if "depth" in passes:
            metadata = metadata.model_copy(update={"depth_scale": DEPTH_SCALE})
        yield encode_sample(metadata, {"jpg": sample["jpg"], **stored})


def toy_passes() -> dict[Pass, np.ndarray]:
    """Mask, depth in metres and normals of the disk."""
    across, down = np.meshgrid(np.linspace(-1, 1, SIZE), np.linspace(-1, 1, SIZE))
    mask = across**2 + down**2 < 0.5
    normal = np.where(mask[..., None], (0.0, 0.0, 1.0), (0.0, 0.6, 0.8))
    return {"mask": mask, "depth": np.where(mask, 2.0 + across / 8, 5.0), "normal": normal}


def toy_image(label: int, object_id: str, latents: np.ndarray) -> np.ndarray:
    """Stripes whose number tells the class, whose phase tells the object and whose slant tells the rotation."""
    phase = hashlib.sha256(object_id.encode()).digest()[0] / 40
    across, down = np.meshgrid(np.linspace(-1, 1, SIZE), np.linspace(-1, 1, SIZE))
    slanted = across * np.cos(latents[2]) + down * np.sin(latents[2])
    stripes = 0.5 + 0.5 * np.sin((2 + 3 * label) * slanted + phase)
    floor = np.array([latents[3], 1 - latents[3], latents[6]])
    inside = (across**2 + down**2 < 0.7)[..., None]
    return (255 * np.where(inside, stripes[..., None], floor)).astype(np.uint8)


def reseal(folder: Path, shard: str, samples: list[Sample], objects: int | None = None) -> DatasetIndex:
    """Writes a shard anew with other samples and an index that agrees with its bytes."""
    content = json.loads((folder / INDEX_NAME).read_text())
    for split in content["splits"].values():
        for record in split["shards"]:
            if record["name"] == shard:
                sealed = seal_shard(
                    folder / shard, samples, record["objects"] if objects is None else objects
                )
                split["views"] += sealed.views - record["views"]
                split["objects"] += sealed.objects - record["objects"]
                record.update(sealed.model_dump())
    return rewrite_index(folder, content)


def rewrite_index(folder: Path, content: dict) -> DatasetIndex:
    """Puts other content into ``dataset.json``."""
    index = DatasetIndex.model_validate(content)
    (folder / INDEX_NAME).write_text(index.to_json())
    return index


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder by name."""
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file()}


def digests_but_attempts(folder: Path) -> dict[str, str]:
    """As ``digests``, but for how often failed objects were tried: a kill may fall on one of them."""
    lines = (folder / "failures.jsonl").read_text().splitlines()
    failures = [json.loads(line) | {"attempts": 0} for line in lines]
    return digests(folder) | {"failures.jsonl": json.dumps(failures)}
