"""Options under headings, handed over as a few objects."""

import click
from click.testing import CliRunner

from commands import call
from iebench.cli.options import GroupedCommand, GroupedOption, options_as

SCREEN = 50  # lines


@click.command(cls=GroupedCommand)
@click.argument("name")
@options_as(
    "size",
    lambda width, height: (width, height),
    click.option("--width", cls=GroupedOption, group="How large", default=1, help="In metres."),
    click.option("--height", cls=GroupedOption, group="How large", default=2),
)
@options_as(
    "paint", dict, click.option("--color", "hue", cls=GroupedOption, group="How it looks", default="red")
)
@click.option("--quiet", is_flag=True)
def build(name: str, size: tuple[int, int], paint: dict, quiet: bool) -> None:
    """Builds."""
    click.echo(f"{name} {size} {paint} {quiet}")


def test_options_arrive_as_the_objects_that_are_built_of_them():
    result = CliRunner().invoke(build, ["--height", "5", "shed", "--color", "blue", "--quiet"])
    assert result.output == "shed (1, 5) {'hue': 'blue'} True\n"


def test_help_has_headings_in_the_order_of_definition_and_ungrouped_options_last():
    text = CliRunner().invoke(build, ["--help"]).output
    positions = [
        text.index(part)
        for part in (
            "How large:",
            "--width INTEGER",
            "In metres.",
            "--height",
            "How it looks:",
            "--color",
            "Options:",
        )
    ]
    assert positions == sorted(positions)
    assert text.index("--quiet") > positions[-1] and text.index("--help") > positions[-1]
    assert text.count("How large:") == 1 and "[default]" not in text


def test_the_render_command_shows_its_options_under_four_headings():
    text = call("render", "--help-all").out
    headings = [
        "Which objects:",
        "What the views show:",
        "How they are rendered:",
        "How it runs:",
        "Options:",
    ]
    positions = [text.index(heading) for heading in headings]
    assert positions == sorted(positions)
    sections = [text[start:end] for start, end in zip(positions, [*positions[1:], None], strict=True)]
    members = [
        ["--limit"],
        ["--range", "--latents", "--passes"],
        ["--preset", "--size"],
        ["--workers"],
        ["-h,"],
    ]
    for section, options in zip(sections, members, strict=True):
        assert all(f"  {option} " in section for option in options)


def test_the_help_of_every_command_fits_a_screen():
    from iebench.cli import main

    for name in main.list_commands(click.Context(main)):
        lines = call(name, "--help").out.splitlines()
        assert len(lines) <= SCREEN, name


def test_rare_options_are_shown_on_demand_and_taken_anyhow():
    short, whole = call("render", "--help").out, call("render", "--help-all").out
    assert "--denoiser" not in short and "--help-all" in short
    assert "--denoiser" in whole and "--views" in whole
