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
    """Evaluates networks in one pass over the shards of a dataset, and returns the result of each by its name.

    The arguments are the options of `iebench eval`; ``existing`` says what becomes of an evaluation of the same name.

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
            config = _config_of([Run(Path(item)) for item in unique if Path(item).is_dir()], overrides)
            index = open_dataset(data)
            requests = [_request_of(item, index, out) for item in unique]
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


def _request_of(what: str, index: DatasetIndex, out: Path | None) -> Request:
    """Makes the request for the trained and the untrained network of a run, or for an encoder of any origin."""
    if Path(what).is_dir():
        run = Run(Path(what))
        checkpoints = (run.last_checkpoint, run.initial_checkpoint)
        trained, untrained = (encoder_of_run(run, checkpoint, index) for checkpoint in checkpoints)
        return Request(trained, untrained, out or run.folder)
    folder = Path("runs") / re.sub(r"[^A-Za-z0-9._-]+", "-", what).strip("-.")
    return Request(load_encoder(what), None, out or folder)


def _config_of(runs: Sequence[Run], overrides: Sequence[str]) -> EvaluationConfig:
    """Returns the settings of evaluation in the runs' recipes, with overrides; without runs, the published ones.

    Raises:
        UsageError: There is no such field or value, or the runs' recipes differ.
    """
    wrong = [text for text in overrides if not text.strip().startswith("evaluation.")]
    if wrong:
        raise UsageError(f"--set of `iebench eval` takes evaluation.FIELD=VALUE, not {wrong[0]!r}")
    recipes = [(run.recipe(), f"the recipe of {run.folder}") for run in runs]
    configs = []
    for recipe, source in recipes or [(load_recipe("sie"), "--set")]:
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
    """Prints a table for each network, of every score or only of ``HEADLINES``, or every score as JSON by its name."""
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
