"""Every command that takes a dataset takes its address, with nothing in the cache."""

import json

import pytest

from commands import call
from folders import files_of
from iebench.cli import main
from iebench.cli.location import DatasetLocation
from shards.schema import INDEX_NAME
from toys import rewrite_index
from unreliable_server import Fault, serving

ARGUMENTS = {
    "query": ["label = 1"],
    "show": ["--out", "{out}/sheet.png"],
    "stats": ["--json"],
    "unpack": ["{out}/flat"],
    "verify": ["--workers", "1"],
}
TRAINING = {"train", "eval", "explore"}
"""Commands that take longer, or a run too; tests/iebench/test_location.py gives train and eval an address."""


@pytest.fixture
def server(indexed_copy):
    with serving(indexed_copy) as state:
        yield state


def called(command, dataset, out):
    out.mkdir(exist_ok=True)
    return call(command, dataset, *(argument.format(out=out) for argument in ARGUMENTS[command]))


def test_no_command_that_takes_a_dataset_is_forgotten_here():
    found = {
        name
        for name, command in main.commands.items()
        if any(isinstance(parameter.type, DatasetLocation) for parameter in command.params)
    }
    assert found == ARGUMENTS.keys() | TRAINING
    for name in found:
        assert any("--cache-size" in parameter.opts for parameter in main.commands[name].params), name


@pytest.mark.processes
@pytest.mark.parametrize("command", ARGUMENTS)
def test_an_address_with_a_cold_cache_gives_what_the_folder_gives(cache, server, tmp_path, command):
    there = called(command, server.address, tmp_path / "there")
    assert there.code == 0, there.err
    here = called(command, server.folder, tmp_path / "here")
    names = [(str(server.folder), server.address), (str(tmp_path / "here"), str(tmp_path / "there"))]
    expected = here.out
    for own, other in names:
        expected = expected.replace(own, other)
    assert there.out == expected
    assert files_of(tmp_path / "there") == files_of(tmp_path / "here")


@pytest.mark.processes
@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_shard_that_does_not_come_is_one_sentence(cache, server, tmp_path, command):
    for path in server.folder.iterdir():
        if path.name != INDEX_NAME:
            server.always[path.name] = Fault(status=403)
    result = called(command, server.address, tmp_path / "out")
    assert result.code == 1
    assert "may not be read" in result.out + result.error


@pytest.mark.processes
@pytest.mark.parametrize("command", ARGUMENTS)
def test_what_a_terminal_would_obey_is_never_printed(cache, server, tmp_path, command):
    content = json.loads((server.folder / INDEX_NAME).read_text())
    for item in content["classes"]:
        item.update(name="mug\x1b[2J\x9b2J", synset=item["synset"] + "\x1b]0;owned\x07")
    for latent in content["latents"]:
        latent["name"] += "\x1b[31m"
    for split in list(content["splits"]):
        content["splits"][f"{split}\x1b[5m"] = content["splits"].pop(split)
    rewrite_index(server.folder, content)
    result = called(command, server.address, tmp_path / "out")
    printed = result.out + result.err
    assert all(character.isprintable() or character in "\n\r" for character in printed), printed
