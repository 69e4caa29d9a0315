"""``latents.parquet`` says what the shards say, and is never believed over them."""

import json
import shutil

import numpy as np
import pyarrow.parquet
import pytest

from commands import call
from faults import problems
from shards.errors import IebenchError
from shards.files import sha256_of
from shards.indexing import index_dataset
from shards.reader import read_views
from shards.schema import INDEX_NAME, open_dataset
from shards.table import TABLE_NAME, byte_range_columns, open_table, table_schema, write_rows
from toys import digests, make_toy_dataset, reseal, rewrite_index, toy_samples

SHARD = "train-000000.tar"


def rewrite_table(folder, change):
    """Puts a changed table into a dataset, whose index then agrees with it."""
    index = open_dataset(folder)
    path = folder / TABLE_NAME
    file = pyarrow.parquet.ParquetFile(path)
    tables = [file.read_row_group(group) for group in range(file.num_row_groups)]
    with path.open("wb") as stream:
        write_rows(stream, table_schema(index), [change(table) for table in tables])
    agree(folder)


def agree(folder):
    path = folder / TABLE_NAME
    content = json.loads((folder / INDEX_NAME).read_text())
    table = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    rewrite_index(folder, {**content, "latents_table": table})


def with_column(table, name, values):
    return table.set_column(table.column_names.index(name), name, [values])


def test_a_row_for_each_view_says_what_its_json_says_and_where_its_bytes_are(indexed_dataset):
    index = open_dataset(indexed_dataset)
    rows = iter(pyarrow.parquet.read_table(indexed_dataset / TABLE_NAME).to_pylist())
    for split in index.splits:
        for view in read_views(indexed_dataset, index, split):
            row, metadata = next(rows), view.metadata
            assert (row["key"], row["split"]) == (metadata.key, split)
            assert [row[name] for name in ("synset", "object", "view", "label", "scale")] == [
                metadata.synset, metadata.object, metadata.view, metadata.label, metadata.scale
            ]  # fmt: skip
            assert tuple(row[latent.name] for latent in index.latents) == metadata.latents
            offset, size = (row[column] for column in byte_range_columns("jpg"))
            stored = (indexed_dataset / row["shard"]).read_bytes()
            assert stored[offset : offset + size] == view.jpeg
    assert next(rows, None) is None


def test_a_row_group_is_a_shard_and_pandas_and_hugging_face_read_it(indexed_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    import datasets
    import pandas

    file = pyarrow.parquet.ParquetFile(indexed_dataset / TABLE_NAME)
    index = open_dataset(indexed_dataset)
    shards = [shard for split in index.splits.values() for shard in split.shards]
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [
        shard.views for shard in shards
    ]
    frame = pandas.read_parquet(indexed_dataset / TABLE_NAME)
    loaded = datasets.load_dataset(
        "parquet", data_files=str(indexed_dataset / TABLE_NAME), split="train", cache_dir=str(tmp_path)
    )
    assert [row["key"] for row in loaded] == frame["key"].tolist()


@pytest.mark.processes
def test_the_same_dataset_has_the_same_table(indexed_dataset, tmp_path):
    make_toy_dataset(tmp_path / "views")
    index_dataset(tmp_path / "views", workers=2)
    assert digests(tmp_path / "views") == digests(indexed_dataset)
    index_dataset(tmp_path / "views")
    assert digests(tmp_path / "views") == digests(indexed_dataset)


@pytest.mark.processes
def test_a_whole_table_is_verified(indexed_dataset):
    assert problems(indexed_dataset) == problems(indexed_dataset, workers=2) == []


@pytest.mark.processes
@pytest.mark.parametrize("damage", ["cut", "flipped", "missing", "garbage"])
def test_a_broken_table_is_told_by_verify_refused_by_others_and_made_anew(
    indexed_copy, indexed_dataset, damage
):
    path = indexed_copy / TABLE_NAME
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": data[:-100], "flipped": data, "garbage": b"x" * len(data)}[damage])
    (problem,) = problems(indexed_copy)
    assert problem.startswith(f"{TABLE_NAME}: ")
    result = call("verify", indexed_copy, "--workers", "1")
    assert result.code == 1 and "run `iebench index`" in result.error and "delete" not in result.error
    for command in (["stats"], ["query", "view = 1"]):
        result = call(command[0], indexed_copy, *command[1:])
        assert result.code == 1 and "run `iebench index`" in result.error
    assert call("index", indexed_copy, "--workers", "1").code == 0
    assert digests(indexed_copy) == digests(indexed_dataset)


@pytest.mark.parametrize("column", ["rotation_x", "view", "json_offset", "object"])
def test_a_table_that_disagrees_with_its_shards_is_told_with_shard_and_column(indexed_copy, column):
    def change(table):
        values = table[column].to_pylist()
        return with_column(table, column, [values[-1], *values[1:]])

    rewrite_table(indexed_copy, change)
    found = problems(indexed_copy)
    assert found[0] == f"{TABLE_NAME}: it says otherwise than {SHARD} of {column}"


@pytest.mark.parametrize("change", ["version", "shards", "columns"])
def test_a_table_of_another_version_or_of_other_shards_is_refused(indexed_copy, change):
    path = indexed_copy / TABLE_NAME
    table = pyarrow.parquet.read_table(path)
    metadata = dict(table.schema.metadata)
    if change == "columns":
        table = table.drop_columns(["scale"])
    else:
        metadata[f"iebench.{change}".encode()] = b"2"
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path)
    agree(indexed_copy)
    said = {"version": "another version", "shards": "other shards", "columns": "other columns"}[change]
    with pytest.raises(IebenchError, match=said):
        open_table(indexed_copy, open_dataset(indexed_copy))
    assert said in problems(indexed_copy)[0]


def test_a_shard_that_was_changed_makes_its_table_one_of_other_shards(indexed_copy):
    samples = [sample for number in range(5) for sample in toy_samples("03001627", f"other{number}")]
    reseal(indexed_copy, SHARD, samples)
    with pytest.raises(IebenchError, match="was made of other shards"):
        open_table(indexed_copy, open_dataset(indexed_copy))
    index_dataset(indexed_copy)
    assert problems(indexed_copy) == []


def test_a_damaged_shard_is_not_indexed(indexed_copy):
    before = digests(indexed_copy)
    data = bytearray((indexed_copy / SHARD).read_bytes())
    data[150] ^= 1
    (indexed_copy / SHARD).write_bytes(data)
    result = call("index", indexed_copy, "--workers", "1")
    assert result.code == 1 and f"{SHARD} is damaged" in result.error
    assert {**digests(indexed_copy), SHARD: before[SHARD]} == before


@pytest.mark.parametrize(
    ("place", "said"), [("nowhere", "holds no dataset"), ("http://host/views", "is an address")]
)
def test_what_is_no_folder_of_a_dataset_is_not_indexed(tmp_path, monkeypatch, place, said):
    monkeypatch.chdir(tmp_path)
    result = call("index", place)
    assert result.code == 2 and said in result.error


@pytest.mark.processes
def test_statistics_come_from_the_table_and_are_those_of_the_shards(indexed_copy, toy_dataset):
    expected = call("stats", toy_dataset, "--json", "--workers", "1")
    for path in indexed_copy.glob("*.tar"):
        path.write_bytes(bytes(path.stat().st_size))  # which nobody reads
    found = call("stats", indexed_copy, "--json")
    assert (found.code, found.out) == (0, expected.out)


def test_statistics_of_an_address_fetch_nothing_but_the_table(cache, server, indexed_dataset):
    shutil.copytree(indexed_dataset, server.folder, dirs_exist_ok=True)
    assert call("stats", server.address).code == 0
    assert {name for name, _ in server.requests} == {INDEX_NAME, TABLE_NAME}


def test_packing_writes_the_table_and_takes_rows_that_it_knows(tmp_path, monkeypatch):
    from folders import write_folder
    from shards import table

    source = write_folder(tmp_path / "flat")
    arguments = ("pack", source, tmp_path / "views", "--objects-per-shard", "3", "--workers", "1")
    assert call(*arguments).code == 0
    assert problems(tmp_path / "views") == []
    before = digests(tmp_path / "views")
    (tmp_path / "views" / SHARD).unlink()
    read = []
    rows_of_shard = table.rows_of_shard
    monkeypatch.setattr(
        table, "rows_of_shard", lambda path, *rest: read.append(path.name) or rows_of_shard(path, *rest)
    )
    assert call(*arguments).code == 0
    assert read == [SHARD]
    assert digests(tmp_path / "views") == before


def test_latents_survive_exactly(indexed_dataset):
    index = open_dataset(indexed_dataset)
    table = open_table(indexed_dataset, index)
    shard = index.split("train").shards[1]
    latents = [latent.name for latent in index.latents]
    found = np.stack([table.rows_of(shard, [name])[name].to_numpy() for name in latents], axis=1)
    views = list(read_views(indexed_dataset, index, "train"))[20:40]
    assert np.array_equal(found, [view.metadata.latents for view in views])
