"""The dataset card: the ``README.md`` that stands beside the shards."""

from pathlib import Path

from shards.files import write_text
from shards.hub import hub_header
from shards.images import ChannelOrder
from shards.passes import Pass, member_of
from shards.schema import INDEX_NAME, DatasetIndex

_ORDERS: dict[ChannelOrder, str] = {"rgb": "true RGB", "bgr": "with red and blue swapped, as published"}
_PASSES: dict[Pass, str] = {
    "mask": "255 where the object is seen",
    "depth": "16 bit, `depth_scale` of the `.json` is metres per unit along the camera's axis, 65535 is farther",
    "normal": "(v - 128) / 127 is x right, y up, z towards the camera",
}


def complete_dataset(folder: Path, index: DatasetIndex) -> None:
    """Writes the card and, last, the index, which is there only when all shards are."""
    write_text(folder / "README.md", card_text(index))
    write_text(folder / INDEX_NAME, index.to_json())


def card_text(index: DatasetIndex) -> str:
    """Markdown with the metadata header that the Hugging Face Hub reads."""
    views = sum(split.views for split in index.splits.values())
    classes = "\n".join(f"| {item.label} | {item.synset} | {item.name} |" for item in index.classes)
    latents = "\n".join(
        f"| {position} | {item.name} | {item.unit} | "
        f"{' or '.join(f'[{low:.4g}, {high:.4g}]' for low, high in item.intervals)} |"
        for position, item in enumerate(index.latents)
    )
    splits = "\n".join(
        f"| {name} | {split.objects:,} | {split.views:,} | {len(split.shards)} | "
        f"{sum(shard.bytes for shard in split.shards) / 1e6:,.1f} MB |"
        for name, split in index.splits.items()
    )
    return f"""{hub_header(index)}
# {views:,} views of {sum(split.objects for split in index.splits.values()):,} objects

{_origin(index)} the scene of 3DIEBench (arXiv 2302.10283):
variant `{index.variant}`, {index.views_per_object} views an object, {index.image_size} px{_seed(index)}.

Every sample is one view: a `.jpg` ({_ORDERS[index.channel_order]}) and a `.json` with `synset`, `object`, `view`, `label` and
`latents`.{_passes_text(index)} All views of an object stand together, in order, in one shard. `dataset.json` holds the rest.

| split | objects | views | shards | size |
|---|---|---|---|---|
{splits}

| place | latent | unit | range |
|---|---|---|---|
{latents}

| label | synset | class |
|---|---|---|
{classes}
"""


def _origin(index: DatasetIndex) -> str:
    return (
        "Packed by iebench from the published layout: views in"
        if index.seed is None
        else "Rendered by iebench in"
    )


def _seed(index: DatasetIndex) -> str:
    return "" if index.seed is None else f", seed {index.seed}"


def _passes_text(index: DatasetIndex) -> str:
    """A sentence on the images that stand beside the JPEG; empty where there are none."""
    if not index.passes:
        return ""
    members = ", ".join(f"`.{member_of(name)}` ({_PASSES[name]})" for name in index.passes)
    return f"\nFrom the same render: {members}."
