"""Questions to the table of a dataset: answered by DuckDB, which reaches nothing else."""

import csv
import json

import pyarrow.parquet
import pytest

from commands import call
from shards.reader import read_views
from shards.schema import open_dataset

pytest.importorskip("duckdb")


def test_the_views_for_which_a_condition_holds_are_printed(indexed_dataset):
    index = open_dataset(indexed_dataset)
    expected = [
        view.metadata
        for split in index.splits
        for view in read_views(indexed_dataset, index, split)
        if view.metadata.synset == "03797390" and view.metadata.latents[2] > 0.5
    ]
    result = call("query", indexed_dataset, "synset = '03797390' and rotation_z > 0.5", "--limit", "0")
    assert result.code == 0, result.err
    rows = list(csv.DictReader(result.out.splitlines(), delimiter="\t"))
    assert [row["key"] for row in rows] == [metadata.key for metadata in expected] != []
    assert [float(row["rotation_z"]) for row in rows] == [metadata.latents[2] for metadata in expected]
    assert "jpg_offset" not in rows[0]


def test_a_whole_query_is_answered_and_long_answers_are_cut_with_a_word(indexed_dataset):
    question = "select synset, count(*) as views from views group by synset order by synset"
    assert call("query", indexed_dataset, question).out.splitlines() == [
        "synset\tviews", "02876657\t28", "03001627\t28", "03797390\t28"
    ]  # fmt: skip
    result = call("query", indexed_dataset, "true", "--limit", "3")
    assert len(result.out.splitlines()) == 4
    assert "3 of 84 rows; --limit 0 prints all" in result.err


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "new/rows.parquet"])
def test_rows_are_written_as_the_file_s_name_says(indexed_dataset, tmp_path, name):
    path = tmp_path / name
    result = call("query", indexed_dataset, "view = 0 and label = 1", "--out", path)
    assert result.out == f"{path}: 7 rows\n"
    readers = {
        ".csv": lambda: list(csv.DictReader(path.open())),
        ".jsonl": lambda: list(map(json.loads, path.open())),
        ".parquet": lambda: pyarrow.parquet.read_table(path).to_pylist(),
    }
    rows = readers[path.suffix]()
    assert sorted(row["object"] for row in rows) == [f"chair{number}" for number in range(7)]


@pytest.mark.parametrize(
    "question",
    [
        "",
        "synset = ",
        "color = 3",
        "synset > 'x' and (",
        "true); drop view views; select (1",
        "select 1; select 2",
        "selec",
        "1=1) or key in (select key from nothing",
        "rotation_x",
        "\x1b[2J",
        "create table t as select 1",
        "with rows as (select 1) insert into views select * from rows",
        "true -- ",
        "view / 0 = error('x')",
    ],
)
def test_a_query_that_is_none_is_one_sentence(indexed_dataset, question):
    result = call("query", indexed_dataset, question)
    if result.code == 0:
        assert question in ("rotation_x", "true -- ")  # which DuckDB takes for conditions
        return
    assert result.code == 2
    assert result.error.isprintable() and "\n" not in result.error


@pytest.mark.parametrize(
    "question",
    [
        "select * from '{secret}'",
        "select * from read_text('{secret}')",
        "select * from read_csv('{secret}')",
        "select * from read_parquet('{table}')",
        "select * from glob('{folder}/*')",
        "key in (select content from read_text('{secret}'))",
        "copy views to '{folder}/out.csv'",
        "export database '{folder}/out'",
        "attach '{folder}/out.db'",
        "install httpfs",
        "load '{folder}/x.duckdb_extension'",
        "set enable_external_access = true",
        "select * from 'http://127.0.0.1:9/x.parquet'",
        "select * from folder",
        "pragma database_list",
    ],
)
def test_a_query_reaches_no_file_no_network_and_no_variable(indexed_dataset, tmp_path, question):
    secret = tmp_path / "secret.csv"
    secret.write_text("hidden\n1\n")
    question = question.format(secret=secret, folder=tmp_path, table=indexed_dataset / "latents.parquet")
    result = call("query", indexed_dataset, question)
    assert result.code == 2, result.out
    assert "hidden" not in result.out + result.error
    assert list(tmp_path.iterdir()) == [secret]


def test_without_a_table_or_with_another_format_it_says_what_to_do(toy_dataset, indexed_dataset, tmp_path):
    result = call("query", toy_dataset, "true")
    assert result.code == 1 and "run `iebench index`" in result.error
    result = call("query", indexed_dataset, "true", "--out", tmp_path / "rows.xls")
    assert result.code == 2 and "call it .csv, .jsonl or .parquet" in result.error
    assert not list(tmp_path.iterdir())
