"""Commands with many options, which the help shows under headings and the command gets as a few objects."""

import functools
from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

ALL = "--help-all"


class GroupedOption(click.Option):
    """An option that ``--help`` shows under the heading ``group``; a rare one is shown by ``--help-all`` alone."""

    def __init__(self, *arguments: Any, group: str, rare: bool = False, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.group, self.rare = group, rare


class GroupedCommand(click.Command):
    """A command whose help shows grouped options under their headings, in the order of definition."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Adds ``--help-all`` if there are rare options."""
        parameters = super().get_params(ctx)
        if not any(getattr(parameter, "rare", False) for parameter in parameters):
            return parameters
        return [*parameters[:-1], _HELP_ALL, parameters[-1]]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes a table of options per heading; ungrouped ones come last."""
        headings: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            hidden = getattr(parameter, "rare", False) and ALL not in ctx.meta
            if record is not None and not hidden and not isinstance(parameter, click.Argument):
                headings.setdefault(getattr(parameter, "group", "Options"), []).append(record)
        for heading in sorted(headings, key=lambda name: name == "Options"):
            with formatter.section(heading):
                formatter.write_dl(headings[heading])


def _show_all(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked:
        ctx.meta[ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()


_HELP_ALL = click.Option(
    [ALL],
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_all,
    help="Show all options and exit.",
)


def options_as(into: str, build: Callable[..., Any], *options: Decorator) -> Decorator:
    """Gives a command several options as one argument ``into``, which ``build`` makes of the options' values by name."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(**values: Any) -> Any:
            taken = {name: values.pop(name) for name in names}
            return command(**values, **{into: build(**taken)})

        decorated: Callable[..., Any] = wrapped
        before = len(getattr(decorated, "__click_params__", []))
        for option in reversed(options):
            decorated = option(decorated)
        parameters = getattr(decorated, "__click_params__", [])
        names = [parameter.name for parameter in parameters[before:]]
        return decorated

    return decorate
