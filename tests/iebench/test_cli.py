import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from commands import call, run
from iebench.cli import main
from iebench.recipes import recipe_names
from iebench.recipes.recipe import load_recipe

ROOT = Path(__file__).parents[2]


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        inner = (*path, name)
        found += commands(command, inner) if isinstance(command, click.Group) else [inner]
    return found


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_has_a_summary_and_an_example_that_parses(
    path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("train_images.npy", "val_images.npy"):
        Path(name).touch()
    assert "Example: iebench" in call(*path, "--help").out
    command: click.Command = main
    for name in path:
        command = command.commands[name]
    assert command.get_short_help_str()
    example = shlex.split(command.epilog.removeprefix("Example: iebench "))
    assert tuple(example[: len(path)]) == path
    command.make_context(path[-1], example[len(path) :])


def advised_commands() -> list[str]:
    """Every command that a string of the packages gives in backticks, with X for what is filled in."""
    found = set()
    for package in ("iebench", "render", "shards"):
        for path in (ROOT / package).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(source if "`iebench" in source else "")):
                parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)
                found.update(re.findall(r"`iebench ([^`]+)`", text))
    return sorted(found)


@pytest.mark.parametrize("advice", advised_commands())
def test_a_command_that_a_message_advises_exists_with_its_options(advice: str):
    command: click.Command = main
    words = shlex.split(advice)
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert command is not main, advice
    options = {name for option in command.params for name in option.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_each_commands_line_of_help_is_whole_at_80_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    for group in ((), ("models",), ("pack",), ("recipes",)):
        assert "..." not in call(*group, "--help").out.partition("Options:")[2]


def test_help_groups_all_commands():
    text = call("--help").out
    assert all(title in text for title in ("Start here", "Make and check data", "Train and evaluate"))
    assert all(f"  {name} " in text for name in main.commands)


def test_recipes_lists_every_recipe_with_a_line_and_its_paper():
    lines = call("recipes").out.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    (byol,) = [line for line in lines if line.startswith("byol ")]
    assert "arXiv 2006.07733" in byol


def test_a_shown_recipe_is_a_whole_recipe_file(tmp_path: Path):
    path = tmp_path / "shown.toml"
    path.write_text(call("recipes", "show", "vicreg_part", "--set", "training.epochs=7").out)
    assert load_recipe(str(path)) == load_recipe("vicreg_part", ["training.epochs=7"])
    assert {"weight_decay", "interleave", "hidden_width", "feature_batch_size"} <= set(
        path.read_text().split()
    )


@pytest.mark.processes
def test_listing_recipes_does_not_wait_for_pytorch():
    program = (
        "import sys; from iebench.recipes import summaries; summaries(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.processes
def test_help_does_not_wait_for_pytorch():
    program = "import sys, iebench.cli; sys.exit('torch' in sys.modules or 'webdataset' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "simpel", "--data", "{data}", "--out", "{out}"], "there is no recipe 'simpel'"),
        (["train", "demo", "--data", "nowhere", "--out", "{out}"], "holds no dataset"),
        (["train", "demo", "--data", "{data}", "--out", "{out}", "--set", "a.b=1"], "has no field 'a.b'"),
        (["recipes", "show", "sei"], "did you mean 'sie'"),
        (["eval", "nowhere", "--data", "{data}"], "there is no encoder nowhere"),
        (["report", "nowhere", "--out", "{out}/r.html"], "nowhere has not been evaluated"),
        (["leaderboard", "nowhere"], "nowhere has not been evaluated"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(
    toy_dataset: Path, tmp_path: Path, arguments: list[str], words: str
):
    filled = [word.format(data=toy_dataset, out=tmp_path / "out") for word in arguments]
    result = call(*filled)
    assert result.code == 2
    assert words in result.error


@pytest.mark.processes
def test_an_error_leaves_a_process_without_traceback(tmp_path: Path):
    result = run("verify", tmp_path)
    assert result.code in (1, 2)
    assert result.error


def test_without_a_command_the_five_that_matter_first_are_shown():
    result = call()
    assert result.code == 0
    shown = re.findall(r"^  (\w+)  ", result.out, re.MULTILINE)
    assert shown == ["demo", "render", "train", "eval", "report"]
    assert "iebench --help" in result.out


def test_the_version_names_blender_and_pytorch():
    assert re.fullmatch(r"iebench [\d.]+, Blender 4\.5\.\d+, PyTorch [\d.]+\S*\n", call("--version").out)
