"""Addresses on the command line."""

import json

import pytest

from commands import call, run
from iebench.evaluation.results import read_evaluation
from shards.origin import mirror_folder
from shards.schema import INDEX_NAME
from unreliable_server import Fault

pytestmark = pytest.mark.timeout(300)


@pytest.mark.processes
def test_verify_takes_an_address_over_connections_that_drop(cache, server):
    server.faults["train-000000.tar"] = [Fault(drop_after=3_000), Fault(status=503)]
    result = run("verify", server.address)
    assert result.code == 0, result.err
    assert result.out == f"{server.address}: 84 views, all as the index and the dataset format say\n"
    assert "Unclosed" not in result.err


@pytest.mark.processes
def test_stats_counts_what_stands_at_an_address(cache, server):
    there = call("stats", server.address, "--json")
    assert there.code == 0, there.err
    assert there.out == call("stats", server.folder, "--json", "--workers", "1").out


@pytest.mark.processes
def test_verify_names_the_shard_that_is_wrong_at_its_address(cache, server):
    server.always["val-000000.tar"] = Fault(alter=600)
    result = call("verify", server.address, "--workers", "1")
    assert result.code == 1
    assert result.out.startswith("val-000000.tar: ") and "another SHA-256" in result.out
    assert f"{server.address} has 1 problem" in result.err


def test_show_fetches_only_what_it_shows(cache, server, tmp_path):
    result = call("show", server.address, "--split", "val", "--out", tmp_path / "sheet.png")
    assert result.code == 0, result.err
    assert {name for name, _ in server.requests} == {INDEX_NAME, "val-000000.tar"}


@pytest.mark.parametrize("location", ["pipe:touch {marker}", "simplecache::http://host/x", "file:///etc"])
@pytest.mark.parametrize("command", ["verify", "show", "train", "eval"])
def test_other_schemes_are_refused_by_every_command(cache, tmp_path, command, location):
    marker = tmp_path / "marker"
    location = location.format(marker=marker)
    arguments = {"train": ["demo", "--out", tmp_path / "run", "--data"], "eval": [tmp_path / "run", "--data"]}
    result = call(command, *arguments.get(command, []), location)
    assert result.code == 2
    assert "http://, https://, s3:// or hf://" in result.error
    assert not marker.exists()


@pytest.mark.processes
def test_a_run_records_the_address_and_the_report_shows_it(cache, server, tmp_path):
    settings = {
        "training.epochs": 1,
        "training.batch_size": 8,
        "training.workers": 2,
        "evaluation.epochs": 1,
        "evaluation.linear_color_epochs": 1,
        "evaluation.hidden_width": 8,
    }
    out = tmp_path / "run"
    options = [item for name, value in settings.items() for item in ("--set", f"{name}={value}")]
    trained = run(
        "train", "demo", "--data", server.address, "--out", out, "--device", "cpu", *options, timeout=200
    )
    assert trained.code == 0, trained.err
    assert f"--data {server.address}" in trained.out
    evaluated = call("eval", out, "--data", server.address, "--device", "cpu")
    assert evaluated.code == 0, evaluated.err
    assert json.loads((out / "config.json").read_text())["data"] == server.address
    assert read_evaluation(out).test.location == server.address
    reported = call("report", out, "--out", tmp_path / "report.html")
    assert reported.code == 0, reported.err
    page = (tmp_path / "report.html").read_text()
    assert server.address in page
    assert str(mirror_folder(server.address)) not in page
    assert "data:image/jpeg" in page
