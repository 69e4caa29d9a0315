"""The commands for a first try: the demo and the check of the machine."""

from pathlib import Path

import click

from iebench.cli.location import FOLDER

_SIGNS = {True: "ok", False: "!!", None: "--"}


@click.command(epilog="Example: iebench demo --out runs/demo")
@click.option("--out", default="runs/demo", show_default=True, type=FOLDER, help="Where everything goes.")
@click.option("--seed", default=0, show_default=True, help="Seed of models, latents and training.")
@click.option(
    "--workers", type=click.IntRange(1), help="Processes that make models and render; by default all cores."
)
@click.option("--objects-per-class", default=92, show_default=True, type=click.IntRange(2))
@click.option(
    "--views", default=6, show_default=True, type=click.IntRange(2), help="Number of views of each object."
)
@click.option(
    "--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Override a field of the recipes."
)
@click.option(
    "--vicreg/--no-vicreg",
    "compares",
    default=False,
    show_default=True,
    help="Train a VICReg of the same size and length beside SIE, which takes half as long again.",
)
def demo(
    out: Path,
    seed: int,
    workers: int | None,
    objects_per_class: int,
    views: int,
    overrides: tuple[str, ...],
    compares: bool,
) -> None:
    """Go from nothing to an evaluated model and its report.

    Takes seven to eleven minutes on two cores, longer on older ones, and says at the start how long each stage is
    expected to take. Makes procedural models, renders them, trains SIE on the views, evaluates it next to the
    untrained network and writes OUT/report.html. --vicreg sets what is invariant beside what is equivariant. The same
    command again goes on where it was stopped.
    """
    from iebench.cli.demo import run_demo

    run_demo(out, seed, workers, objects_per_class, views, overrides, compares)


@click.command(epilog="Example: iebench doctor")
def doctor() -> None:
    """Say what works on this machine, and what to do about what does not."""
    from iebench.doctor import examine

    failed = 0
    for check in examine(Path()):
        click.echo(f"{_SIGNS[check.works]}  {check.what:<18} {check.detail}")
        if check.remedy:
            click.echo(f"    {'':<18} -> {check.remedy}")
        failed += check.works is False
    if failed:
        raise click.exceptions.Exit(1)
