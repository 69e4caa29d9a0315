"""Runs evaluations for the command line: opens networks by name, and prints results in a terminal."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from iebench.backbones.open_encoder import load_encoder
from iebench.evaluation.evaluate import evaluate_requests
from iebench.evaluation.protocol import EvaluationConfig, Suite
from iebench.evaluation.results import Evaluation
from iebench.evaluation.score_store import Existing
from iebench.evaluation.session import Request
from iebench.recipes.recipe import apply_override, load_recipe, parse_recipe
from iebench.report.tables import text_table
from iebench.training.processes import launched
from iebench.training.run import Run
from iebench.training.run_encoder import encoder_of_run
from shards.errors import UsageError
from shards.schema import DatasetIndex, open_dataset


def evaluate_networks(
    names: Sequence[str],
    data: Path,
    fit: Path | None = None,
    name: str | None = None,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    keeps_features: bool = False,
    existing: Existing = "keep",
    device: str = "auto",
    suites: Sequence[Suite] = ("standard",),
    ood: Path | None = None,
) -> dict[str, Evaluation]:
    """Evaluates networks in one pass over the shards of a dataset.

    Args:
        names: Folders of runs, or other names that ``load_encoder`` takes.
        data: Folder of the dataset on whose validation split everything is measured.
        fit: Folder of the dataset to whose training split probes are fitted; by default ``data``.
        name: Name of the evaluation; by default that of the dataset.
        out: Folder of the results; by default each run's own.
        overrides: Changes ``evaluation.FIELD=VALUE`` of the runs' recipes.
        keeps_features: Whether features are kept in the folder of the results.
        existing: Treatment of an earlier evaluation of the same name.
        device: Device: ``auto``, ``cpu``, ``cuda``, or one GPU by its number as in ``cuda:1``.
        suites: Suites to measure.
        ood: Folder of a dataset outside the training range, as a further test of ``robustness``.

    Returns:
        The result of each network by its name.

    Raises:
        UsageError: A network or a field is unknown, or the runs' recipes have different settings of evaluation.
        IebenchError: A checkpoint or a shard cannot be read.
    """
    with launched(device) as processes:
        with processes.fail_together():
            unique = list(dict.fromkeys(names))
            if out is not None and len(unique) > 1:
                raise UsageError(
                    "--out takes the results of one network; leave it out or evaluate one at a time"
                )
            runs = [Run(Path(item)) for item in unique if Path(item).is_dir()]
            config = evaluation_config(runs, overrides)
            index = open_dataset(data)
            requests = [request_of(item, index, out) for item in unique]
        found = evaluate_requests(
            requests,
            data,
            fit,
            config,
            processes,
            name=name,
            keeps_features=keeps_features,
            existing=existing,
            suites=suites,
            ood=ood,
        )
    return dict(zip(unique, found, strict=True))


def evaluate_run(run: Run, data: Path, device: str = "auto") -> Evaluation:
    """Evaluates one run and its untrained network by the settings of its recipe.

    An earlier evaluation of other weights or settings is replaced; one of the same is kept.
    """
    return evaluate_networks([str(run.folder)], data, existing="replace", device=device)[str(run.folder)]


def request_of(what: str, index: DatasetIndex, out: Path | None = None) -> Request:
    """Makes the request for a run, or for an encoder of any origin, whose result goes into ``runs/ENCODER``.

    Raises:
        UsageError: There is no such encoder.
        IebenchError: A checkpoint cannot be read.
    """
    if Path(what).is_dir():
        return request_of_run(Run(Path(what)), index, out)
    folder = Path("runs") / re.sub(r"[^A-Za-z0-9._-]+", "-", what).strip("-.")
    return Request(load_encoder(what), None, out or folder)


def request_of_run(run: Run, index: DatasetIndex, out: Path | None = None) -> Request:
    """Makes the request for the trained and the untrained network of a run.

    Raises:
        UsageError: There is no such run, or it has no checkpoint.
        IebenchError: A checkpoint cannot be read.
    """
    trained, untrained = (
        encoder_of_run(run, checkpoint, index) for checkpoint in (run.last_checkpoint, run.initial_checkpoint)
    )
    return Request(trained, untrained, out or run.folder)


def evaluation_config(runs: Sequence[Run], overrides: Sequence[str]) -> EvaluationConfig:
    """Returns the settings of evaluation in the runs' recipes, with overrides.

    Raises:
        UsageError: There is no such field or value, or the runs' recipes differ.
    """
    wrong = [text for text in overrides if not text.strip().startswith("evaluation.")]
    if wrong:
        raise UsageError(f"--set of `iebench eval` takes evaluation.FIELD=VALUE, not {wrong[0]!r}")
    recipes = [(run.recipe(), f"the recipe of {run.folder}") for run in runs]
    configs = []
    for recipe, source in recipes or [
        (load_recipe("sie"), "--set")
    ]:  # of an encoder from elsewhere: as published
        content = recipe.model_dump(mode="json")
        for override in overrides:
            apply_override(content, override)
        configs.append(parse_recipe(content, source).evaluation)
    if any(config != configs[0] for config in configs):
        raise UsageError(
            "the recipes of these runs evaluate differently; evaluate them one at a time, or say for all what differs "
            "with --set evaluation.FIELD=VALUE"
        )
    return configs[0]


def print_results(results: Mapping[str, Evaluation], as_json: bool = False, shows_all: bool = False) -> None:
    """Prints results as a table for each network, or as JSON by the network's name.

    Args:
        results: Results by the network's name.
        as_json: Whether to print JSON, which holds every score.
        shows_all: Whether the table has every score, or only those of ``HEADLINES``.
    """
    if as_json:
        content = {name: json.loads(result.to_json()) for name, result in results.items()}
        click.echo(json.dumps(content, indent=1, allow_nan=False))
        return
    for name, result in results.items():
        if len(results) > 1:
            click.echo(f"== {name}")
        click.echo(text_table(result, shows_all))
        for item in result.left_out:
            click.echo(f"{item.task} is left out: {item.reason}", err=True)
