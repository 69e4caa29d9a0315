"""Evaluation: one frozen pass per network, then every probe and metric on the stored features."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from iebench.evaluation.features import Features, extract_features
from iebench.evaluation.probes import classify, regress_pairs
from iebench.evaluation.retrieval import Retrieval, chance_mrr, retrieval_metrics, retrieve
from iebench.evaluation.scores import median_angle_degrees, r2, r2_per_component
from iebench.methods.parts.transformations import LATENTS, Group, groups_of, relative_transformation
from iebench.recipes.recipe import EvaluationConfig, Recipe
from iebench.training.launch import read_launch
from iebench.training.model import Model, build_model
from iebench.training.processes import Processes, launched
from iebench.training.run import Run, load_checkpoint
from shards.errors import IebenchError, UsageError
from shards.files import write_text
from shards.loader import loader_workers
from shards.origin import place_of
from shards.schema import DatasetIndex, open_dataset

EXAMPLES = 6
EVALUATION_FORMAT = 1
CLASSES_KEY = "online.classifiers.representation.bias"
"""The weights in a checkpoint that are as many as the classes of its training."""


def evaluate(run: Run, data: Path, device: str = "auto") -> dict[str, Any]:
    """Evaluates a run's trained network next to the same network untrained, on validation objects.

    Writes the result to the run's ``eval.json`` and returns it. Of several processes each runs the backbone over
    its share of the views; rank 0 does the rest, and all return the result.

    Args:
        run: a run with a checkpoint.
        data: a dataset with both splits.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UsageError: the run has no checkpoint, or the dataset lacks a split or a latent.
        IebenchError: a checkpoint or a shard cannot be read.
    """
    with launched(device) as processes:
        result = _evaluate(run, data, processes)
        return json.loads(processes.from_first(json.dumps(result)))


def _evaluate(run: Run, data: Path, processes: Processes) -> dict[str, Any]:
    """The result, in rank 0, which also writes it."""
    with processes.fail_together():
        recipe = run.recipe()
        index = open_dataset(data)
        for split in ("train", "val"):
            index.split(split)
    networks: dict[str, Any] = {}
    examples: list[dict[str, Any]] = []
    for name, path in (("trained", run.last_checkpoint), ("untrained", run.initial_checkpoint)):
        with processes.fail_together():
            model = _restored(path, recipe, index).to(processes.device)
        train, val = (
            extract_features(
                model,
                data,
                index,
                split,
                recipe.evaluation.feature_batch_size,
                processes.device,
                processes,
                loader_workers(recipe.training.workers, read_launch().local_count),
            )
            for split in ("train", "val")
        )
        with processes.fail_together():
            if train and val:
                networks[name], retrieval = _probe(
                    model, train, val, index, recipe.evaluation, processes.device, name
                )
                if name == "trained" and retrieval:
                    examples = _examples(retrieval, val)
    result = {
        "format": EVALUATION_FORMAT,
        "data": place_of(data),
        "objects": {split: index.split(split).objects for split in ("train", "val")},
        "views_per_object": index.views_per_object,
        "chance": {
            "top1": 1 / len(index.classes),
            "top5": min(1.0, 5 / len(index.classes)),
            "mrr": chance_mrr(index.views_per_object),
        },
        "networks": networks,
        "retrieval_examples": examples,
    }
    with processes.fail_together():
        if processes.first:
            write_text(run.evaluation_path, json.dumps(result, indent=1) + "\n")
    return result


def read_evaluation(run: Run) -> dict[str, Any]:
    """What ``evaluate`` wrote.

    Raises:
        UsageError: the run has not been evaluated.
        IebenchError: the file cannot be read.
    """
    if not run.evaluation_path.is_file():
        raise UsageError(
            f"{run.folder} has not been evaluated; run `iebench eval {run.folder} --data DATASET` first"
        )
    try:
        return json.loads(run.evaluation_path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise IebenchError(
            f"{run.evaluation_path} cannot be read ({error}); run `iebench eval` again"
        ) from None


def _restored(path: Path, recipe: Recipe, index: DatasetIndex) -> Model:
    """The network of a checkpoint, with the normalisation and the classes of its own training."""
    state = load_checkpoint(path)
    try:
        model = build_model(recipe, index, len(state["model"][CLASSES_KEY]))
        model.load_state_dict(state["model"])
    except (RuntimeError, KeyError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise IebenchError(f"checkpoint {path} does not fit the run's recipe ({first_line})") from None
    return model


def _probe(
    model: Model,
    train: Features,
    val: Features,
    index: DatasetIndex,
    config: EvaluationConfig,
    device: torch.device,
    name: str,
) -> tuple[dict[str, Any], Retrieval | None]:
    latent_names = model.latent_names
    groups = groups_of(latent_names)
    results: dict[str, Any] = {"classification": {}, **{group: {} for group in groups}}
    for part, (start, stop) in model.method.parts().items():
        _say(f"probing the {name} network: {part} representation")
        train_part, val_part = train.part(start, stop), val.part(start, stop)
        results["classification"][part] = classify(train_part, val_part, len(index.classes), config, device)
        for group in groups:

            def target(first: Tensor, second: Tensor, group: Group = group) -> Tensor:
                return relative_transformation(first, second, [group], latent_names)

            predicted, expected = regress_pairs(train_part, val_part, target, config, device)
            results[group][part] = {
                "r2": r2(predicted, expected),
                "r2_per_component": r2_per_component(predicted, expected),
            }
            if group == "rotation":
                results[group][part]["median_angle"] = median_angle_degrees(predicted, expected)
    retrieval = _retrieve(model, val, device)
    results["retrieval"] = retrieval_metrics(retrieval) if retrieval else None
    return results, retrieval


@torch.inference_mode()
def _retrieve(model: Model, val: Features, device: torch.device) -> Retrieval | None:
    """Retrieval by the method's predictor; None where it has none, or where views have no rotation.

    All of MRR, H@k and PRE are defined by where a predictor steers an embedding.
    """
    predictor = model.method.predictor
    if predictor is None or not model.has_rotation:
        return None
    objects, views, _ = val.representations.shape
    embeddings = model.method.steered_embeddings(val.representations.flatten(0, 1).to(device))
    embeddings = embeddings.unflatten(0, (objects, views))
    latents = val.latents.to(device)
    first = latents[:, :1].expand_as(latents)
    transformation = model.transformation(first.flatten(0, 1), latents.flatten(0, 1), model.method.groups)
    sources = embeddings[:, :1].expand_as(embeddings).flatten(0, 1)
    steered = predictor(sources, transformation).unflatten(0, (objects, views))
    columns = [model.latent_names.index(name) for name in LATENTS["rotation"]]
    return retrieve(steered, embeddings, latents[..., columns])


def _examples(retrieval: Retrieval, val: Features) -> list[dict[str, Any]]:
    """A few objects of different classes, with the views that the predictor retrieves for one target each."""
    views = retrieval.ranks.shape[1]
    chosen: dict[int, int] = {}
    for position, label in enumerate(val.labels.tolist()):
        chosen.setdefault(label, position)
    positions = list(chosen.values())
    step = max(1, len(positions) // EXAMPLES)
    examples = []
    for number, position in enumerate(positions[::step][:EXAMPLES]):
        target = 1 + number % (views - 1)
        synset, object_id = val.names[position]
        examples.append(
            {
                "synset": synset,
                "object": object_id,
                "source": 0,
                "target": target,
                "rank": retrieval.ranks[position, target].item(),
                "retrieved": retrieval.ranked[position, target, :5].tolist(),
            }
        )
    return examples


def _say(text: str) -> None:
    print(text, file=sys.stderr)
