"""The command line: a verb, then its object; progress on stderr, results on stdout."""

from importlib.metadata import PackageNotFoundError, version

import click

from iebench import __version__
from iebench.cli import data, learning, packing, rendering, sharing, start
from iebench.cli.exit_codes import FriendlyGroup


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Prints the versions of iebench and of what decides on its results, and exits."""
    if not wanted or context.resilient_parsing:
        return
    found = [f"iebench {__version__}"]
    for title, package in (("Blender", "bpy"), ("PyTorch", "torch")):
        try:
            found.append(f"{title} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {title}")
    click.echo(", ".join(found))
    context.exit()


@click.group(
    cls=FriendlyGroup,
    invoke_without_command=True,
    sections={
        "Start here": [start.demo, start.doctor],
        "Make and check data": [
            data.models,
            rendering.render,
            data.show,
            data.verify,
            data.stats,
            data.query,
            data.index,
        ],
        "Pass data on": [packing.pack, packing.unpack, sharing.push, sharing.cache],
        "Train and evaluate": [
            learning.recipes,
            learning.train,
            learning.evaluate,
            learning.export,
            learning.report,
            learning.explore,
            learning.leaderboard,
        ],
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the versions of iebench, Blender and PyTorch, and exit.",
)
@click.pass_context
def main(context: click.Context) -> None:
    """Render, stream, train and evaluate benchmarks of invariant and equivariant representations.

    From nothing to an evaluated model and a report: iebench demo
    """
    if context.invoked_subcommand is None:
        first = ("demo", "render", "train", "eval", "report")
        formatter = context.make_formatter()
        formatter.write_usage(context.command_path, "COMMAND [ARGUMENTS]")
        with formatter.section("The commands that matter first"):
            formatter.write_dl([(name, main.commands[name].get_short_help_str(limit=74)) for name in first])
        click.echo(
            formatter.getvalue() + "\nAll commands: iebench --help. One of them: iebench COMMAND --help."
        )
