"""Makes the metadata header of a dataset card, which the Hugging Face Hub reads.

It lists the shards of each split and the type of each field. So ``datasets.load_dataset(folder)`` needs no arguments,
and does not guess the fields from the first samples, which may lack ``scale`` or ``notes``.
"""

from typing import Any

from shards.passes import member_of
from shards.schema import DatasetIndex

_SIZES = [
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
]
"""Upper bounds of the number of views, with the Hub's names of the size categories below them."""

_METADATA = {
    "synset": "string",
    "object": "string",
    "view": "int64",
    "label": "int64",
    "scale": "float64",
    "depth_scale": "float64",
    "crc32": "int64",
}
_FIT = {"name": "fit", "struct": [{"name": name, "dtype": "int64"} for name in ("shorter", "square")]}


def is_pictures(index: DatasetIndex) -> bool:
    """Returns whether a dataset holds pictures, which have one view for each object and no latents."""
    return index.variant == "pictures"


def hub_metadata(index: DatasetIndex) -> dict[str, Any]:
    """Returns the fields of the header, by the Hub's names."""
    views = sum(split.views for split in index.splits.values())
    return {
        "pretty_name": f"Pictures of {len(index.classes):,} classes"
        if is_pictures(index)
        else f"3DIEBench views, variant {index.variant}, {index.image_size} px",
        "tags": [
            "webdataset",
            "equivariance",
            "self-supervised-learning",
            *([] if is_pictures(index) else ["3d", "synthetic", "arxiv:2302.10283"]),
        ],
        "task_categories": [
            "image-classification",
            "image-feature-extraction",
            *(["depth-estimation"] if "depth" in index.passes else []),
        ],
        "size_categories": [next((words for bound, words in _SIZES if views < bound), "1B<n<10B")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": name, "path": f"{name}-*.tar"}
                    for name, split in index.splits.items()
                    if split.shards
                ],
            }
        ],
        "dataset_info": {"config_name": "default", "features": _features(index)},
    }


def _features(index: DatasetIndex) -> list[dict[str, Any]]:
    """Returns the fields of a sample with their types, by the names that ``datasets`` uses."""
    images = ["jpg", *map(member_of, index.passes)]
    metadata = [{"name": name, "dtype": dtype} for name, dtype in _METADATA.items()]
    lists = [{"name": "latents", "list": "float64"}, {"name": "notes", "list": "string"}]
    return [
        *({"name": name, "dtype": "image"} for name in images),
        {"name": "json", "struct": [*metadata, *lists, _FIT]},
        {"name": "__key__", "dtype": "string"},
        {"name": "__url__", "dtype": "string"},
    ]
