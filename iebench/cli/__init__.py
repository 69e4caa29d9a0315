"""The command line: a verb, then its object; progress on stderr, results on stdout."""

import click

from iebench import __version__
from iebench.cli import data, learning, published, rendering, sharing, start, statistics
from iebench.cli.errors import FriendlyGroup


@click.group(
    cls=FriendlyGroup,
    sections={
        "Start here": ["demo", "doctor"],
        "Make and check data": ["models", "render", "show", "verify", "stats", "query", "index"],
        "Pass data on": ["pack", "unpack", "push", "cache"],
        "Train and evaluate": ["recipes", "train", "eval", "export", "report", "leaderboard"],
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="iebench")
def main() -> None:
    """Render, stream, train and evaluate benchmarks of invariant and equivariant representations.

    From nothing to an evaluated model and a report: iebench demo
    """


for command in (
    start.demo,
    start.doctor,
    data.models,
    rendering.render,
    data.show,
    data.verify,
    statistics.stats,
    statistics.query,
    data.index,
    published.pack,
    published.unpack,
    learning.recipes,
    sharing.push,
    sharing.cache,
    learning.train,
    learning.evaluate,
    learning.export,
    learning.report,
    learning.leaderboard,
):
    main.add_command(command)
