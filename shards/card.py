"""Writes the text of the dataset card, which is the ``README.md`` beside the shards."""

import hashlib
import json
import re
from typing import Any

import yaml

from shards.images import ChannelOrder
from shards.licenses import license_header, license_words
from shards.passes import Pass, member_of
from shards.schema import DatasetIndex

PREVIEW_NAME = "preview.png"
"""Image file with some views, which the card shows."""

_CITATION = """
## Citation
```bibtex
@inproceedings{garrido2023self,
  title = {Self-supervised learning of Split Invariant Equivariant representations},
  author = {Garrido, Quentin and Najman, Laurent and LeCun, Yann},
  booktitle = {International Conference on Machine Learning},
  year = {2023}
}
@article{chang2015shapenet,
  title = {{ShapeNet}: An Information-Rich {3D} Model Repository},
  author = {Chang, Angel X. and Funkhouser, Thomas and Guibas, Leonidas and Hanrahan, Pat and Huang, Qixing and others},
  journal = {arXiv preprint arXiv:1512.03012},
  year = {2015}
}
```
"""
_ORDERS: dict[ChannelOrder, str] = {"rgb": "true RGB", "bgr": "with red and blue swapped, as published"}
_PASSES: dict[Pass, str] = {
    "mask": "255 where the object is seen",
    "depth": "16 bit, `depth_scale` of the `.json` is metres per unit along the camera's axis, 65535 is farther",
    "normal": "(v - 128) / 127 is x right, y up, z towards the camera",
}

_BEGIN, _END = "<!-- iebench wrote what follows: {} -->", "<!-- end of what iebench wrote -->"
_BLOCK = re.compile(
    f"{re.escape(_BEGIN).replace(re.escape('{}'), '([0-9a-f]{16}) ([0-9a-f]{16})')}\n(.*?){re.escape(_END)}\n?",
    re.DOTALL,
)
_OF_FILES = ("configs", "dataset_info", "size_categories")
"""Fields of the header that describe the files. They are updated with the dataset unless the user changed them."""

_SIZES = ["n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B"]
"""The Hub's names of sizes of up to 3, 4, 5, ... digits."""

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


def card_text(index: DatasetIndex, license_text: str = "", earlier: str = "") -> str:
    """Returns the card in Markdown, with the metadata header that the Hugging Face Hub reads.

    The user's changes to an earlier card are kept: fields of the header, text outside of the two comments of iebench,
    and the text between these comments if it was changed.

    Args:
        index: Index of the dataset.
        license_text: Licence of the views' source; empty if it states none.
        earlier: Text of the existing card; empty if there is none.
    """
    body = card_body(index, license_text)
    header = {**hub_metadata(index), **license_header(license_text)}
    before, after = "", ""
    if earlier:
        parts = _parts(earlier)
        if parts is None:  # a card whose header cannot be parsed is left unchanged
            return earlier
        found, text = parts
        block = _BLOCK.search(text)
        ours = {name: header[name] for name in _OF_FILES}
        if block is None:  # the card is from before there were comments, or the user replaced all of it
            return _yaml({**found, **_others(header, found), **ours}) + text
        known = {name: found.get(name) for name in _OF_FILES}
        header = {**found, **_others(header, found), **(ours if _digest(known) == block[2] else {})}
        before, after = text[: block.start()], text[block.end() :]
        if _digest(block[3]) != block[1]:
            return f"{_yaml(header)}{text}"
    marks = f"{_digest(body)} {_digest({name: header[name] for name in _OF_FILES})}"
    return f"{_yaml(header)}{before or chr(10)}{_BEGIN.format(marks)}\n{body}{_END}\n{after}"


def _others(header: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in header.items() if name not in known}


def _parts(card: str) -> tuple[dict[str, Any], str] | None:
    """Splits a card into the fields of its header and the text after it; None if the header cannot be parsed."""
    match = re.match(r"---\n(.*?\n)---\n", card, re.DOTALL)
    if match is None:
        return {}, card
    try:
        found = yaml.safe_load(match[1])
    except yaml.YAMLError:
        return None
    return (found, card[match.end() :]) if isinstance(found, dict) else None


def _yaml(header: dict[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n"


def _digest(content: Any) -> str:
    """Returns a short hash of a text or of JSON data, by which changes of the user are found."""
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_pictures(index: DatasetIndex) -> bool:
    return index.variant == "pictures"


def hub_metadata(index: DatasetIndex) -> dict[str, Any]:
    """Returns the fields of the card's header, by the Hub's names.

    They list the shards of each split and the type of each field. So ``datasets.load_dataset(folder)`` needs no
    arguments, and does not guess the fields from the first samples, which may lack ``scale`` or ``notes``.
    """
    return {
        "pretty_name": f"Pictures of {len(index.classes):,} classes"
        if _is_pictures(index)
        else f"3DIEBench views, variant {index.variant}, {index.image_size} px",
        "tags": [
            "webdataset",
            "equivariance",
            "self-supervised-learning",
            *([] if _is_pictures(index) else ["3d", "synthetic", "arxiv:2302.10283"]),
        ],
        "task_categories": [
            "image-classification",
            "image-feature-extraction",
            *(["depth-estimation"] if "depth" in index.passes else []),
        ],
        "size_categories": [_SIZES[min(max(len(str(index.views)) - 3, 0), len(_SIZES) - 1)]],
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


def card_body(index: DatasetIndex, license_text: str = "") -> str:
    """Returns the text that iebench writes into a card: a description of the dataset."""
    classes = "\n".join(f"| {item.label} | {item.synset} | {item.name} |" for item in index.classes)
    splits = "\n".join(
        f"| {name} | {split.objects:,} | {split.views:,} | {len(split.shards)} | "
        f"{sum(shard.bytes for shard in split.shards) / 1e6:,.1f} MB |"
        for name, split in index.splits.items()
    )
    size = (
        f"{index.views:,} pictures"
        if _is_pictures(index)
        else f"{index.views:,} views of {index.objects:,} objects"
    )
    return f"""# {size}

{_origin(index)}

![a class in each row, with views of one object]({PREVIEW_NAME})

Every sample is one view: a `.jpg` ({_ORDERS[index.channel_order]}) and a `.json` with `synset`, `object`, `view`, `label` and
`latents`.{_passes_text(index)} All views of an object stand together, in order, in one shard. `dataset.json` holds the rest.{_table_text(index)}

| split | objects | views | shards | size |
|---|---|---|---|---|
{splits}

{_latents_table(index)}| label | synset | class |
|---|---|---|
{classes}

## Licence
{_terms(index, license_text)}
{"" if _is_pictures(index) else _CITATION}"""


def _latents_table(index: DatasetIndex) -> str:
    if not index.latents:
        return ""
    rows = "\n".join(
        f"| {position} | {item.name} | {item.unit} | "
        f"{' or '.join(f'[{low:.4g}, {high:.4g}]' for low, high in item.intervals)} |"
        for position, item in enumerate(index.latents)
    )
    return f"| column | latent | unit | range |\n|---|---|---|---|\n{rows}\n\n"


def _origin(index: DatasetIndex) -> str:
    if _is_pictures(index):
        return (
            f"Packed by iebench from {index.renderer.get('source', 'pictures')}: one picture an object, "
            f"{len(index.classes):,} classes, read at {index.image_size} px."
        )
    if index.seed is None:
        how, seed = "Packed by iebench from the published layout: views in", ""
    else:
        how, seed = "Rendered by iebench in", f", seed {index.seed}"
    return (
        f"{how} the scene of 3DIEBench ([arXiv 2302.10283](https://arxiv.org/abs/2302.10283)):\n"
        f"variant `{index.variant}`, {index.views_per_object} views an object, {index.image_size} px{seed}."
    )


def _terms(index: DatasetIndex, license_text: str) -> str:
    if _is_pictures(index) and not license_text.strip():
        return "The pictures keep the terms of their source: add a line `license:` to the header before you publish."
    return license_words(license_text, index.seed is not None)


def _table_text(index: DatasetIndex) -> str:
    """Returns a sentence on how to read the table of all views; empty if there is no table.

    The table is not a config in the header, because ``datasets`` expects all configs of a folder to be files of one
    kind.
    """
    if index.latents_table is None:
        return ""
    return (
        "\n`latents.parquet` has a row for each view: its names, its latents, and where its bytes stand;\n"
        '`pandas.read_parquet("latents.parquet")` or `load_dataset("parquet", data_files="latents.parquet")`.'
    )


def _passes_text(index: DatasetIndex) -> str:
    if not index.passes:
        return ""
    members = ", ".join(f"`.{member_of(name)}` ({_PASSES[name]})" for name in index.passes)
    return f"\nFrom the same render: {members}."
