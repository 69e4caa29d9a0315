"""How long evaluation takes after the frozen pass: against fitting probes one by one, and at the published size.

Features are synthetic: views of ResNet-18's width (512) that hold class, pose and colors under noise. Three parts::

    python benchmarks/eval_speed.py

1. The same protocol (every view in each epoch, standardized): probes fitted one by one over whole epochs of pairs,
   as `iebench` did before, against stacked probes. Same draws, so that scores must agree.
2. The same, with what each does by default: every view in each epoch, against one view or pair of each object.
3. The whole suite on a share of the published size, and from its operations an ESTIMATE for one H100, on which
   nothing was run. Memory is counted from the sizes of tensors.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iebench.evaluation.features import Features
from iebench.evaluation.intervals import bootstrap_all
from iebench.evaluation.predictor_scores import (
    GALLERY_ROWS,
    PredictorSpace,
    score_galleries,
    score_training,
    score_validation,
)
from iebench.evaluation.probes import Probe, ProbeInput, fit_probes, group_probes
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.scores import median_angle_by_object, r2_by_object
from iebench.evaluation.scoring import score_neighbors, score_probe
from iebench.evaluation.tasks import ProbeTask, probe_tasks, targets_of
from iebench.evaluation.view_draws import pairs_of_test, train_draws
from synthetic_features import CLASSES, LATENTS, VIEWS, SyntheticPredictor, synthetic_inputs

CPU = torch.device("cpu")
PUBLISHED_TRAIN, PUBLISHED_VAL = 41_920, 10_552
PARTS = {"all": (0, 512), "invariant": (0, 256), "equivariant": (256, 512)}
BEFORE = ("classification", "rotation", "color", "light")
"""Tasks that were probed before."""

H100_FLOPS, H100_BYTES, LAUNCH = 40e12, 2.4e12, 6e-6
"""What the estimate assumes of one H100: float32 operations and bytes per second that products of this size reach
(of 67e12 and 3.35e12 at most), and seconds for each kernel that the host starts."""
KERNELS = 120
"""Kernels of one step of a stack of MLP probes, counted generously: gathers, products, losses, gradients, Adam."""


@dataclass(frozen=True)
class Timed:
    """What a function gave, with its wall time and the time of all its threads, in seconds."""

    value: object
    wall: float
    cpu: float


def timed(work: Callable[[], object]) -> Timed:
    wall, cpu = time.perf_counter(), time.process_time()
    value = work()
    return Timed(value, time.perf_counter() - wall, time.process_time() - cpu)


def fit_one_by_one(
    probes: Sequence[Probe], inputs: dict[str, ProbeInput], config: EvaluationConfig
) -> list[Tensor]:
    """Probes as they were fitted before: each alone, standardized copies, whole epochs of pairs, targets anew."""
    found = []
    for probe in probes:
        start, stop = probe.columns
        train, val = inputs[probe.fingerprint].train, inputs[probe.fingerprint].val
        rows = {
            name: some.representations[..., start:stop].flatten(0, 1).float()
            for name, some in (("train", train), ("val", val))
        }
        mean, deviation = rows["train"].mean(dim=0), rows["train"].std(dim=0)
        rows = {name: (some - mean) / deviation for name, some in rows.items()}
        found.append(_fit_alone(probe, rows["train"], rows["val"], train, val, config))
    return found


def _fit_alone(
    probe: Probe, rows: Tensor, held_out: Tensor, train: Features, val: Features, config: EvaluationConfig
) -> Tensor:
    task, width = probe.task, config.hidden_width
    torch.manual_seed(0)
    network: nn.Module = nn.Linear(probe.width, task.outputs)
    if task.head == "mlp":
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Linear(probe.width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, task.outputs),
        )
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr)
    labels = train.labels.repeat_interleave(train.views)
    latents = train.latents.flatten(0, 1)
    for epoch in range(task.epochs):
        first, second = train_draws(train.objects, train.views, config, epoch)
        if task.target is None:
            inputs, targets = rows[first], labels[first]
        else:
            inputs = torch.cat((rows[first], rows[second]), dim=1)
            targets = targets_of(task, latents[first], latents[second])
        for chunk, expected in zip(
            inputs.split(config.batch_size), targets.split(config.batch_size), strict=True
        ):
            optimizer.zero_grad()
            loss = F.cross_entropy if task.target is None else F.mse_loss
            loss(network(chunk), expected).backward()
            optimizer.step()
    first, second = pairs_of_test(val.objects, val.views)
    with torch.inference_mode():
        if task.target is None:
            return network(held_out).topk(5, dim=1).indices.unflatten(0, (val.objects, val.views))
        pairs = torch.cat((held_out[first], held_out[second]), dim=1)
        return network(pairs).unflatten(0, (val.objects, val.views))


def fit_stacked(
    probes: Sequence[Probe], inputs: dict[str, ProbeInput], config: EvaluationConfig
) -> list[Tensor]:
    """The same probes, group by group."""
    found: dict[Probe, Tensor] = {}
    for group in group_probes(probes):
        found |= zip(group, fit_probes(group, inputs, config, CPU), strict=True)
    return [found[probe] for probe in probes]


def main_score(probe: Probe, predicted: Tensor, inputs: ProbeInput) -> float:
    """Top-1 or R²."""
    scores = score_probe(probe.task, predicted, inputs.train, inputs.val, LATENTS)
    value = scores["top1" if probe.task.target is None else "r2"].value
    assert value is not None
    return value


def all_probes(inputs: dict[str, ProbeInput], config: EvaluationConfig) -> list[Probe]:
    """The probes of every task, network and part."""
    tasks, _ = probe_tasks(LATENTS, CLASSES, VIEWS, config)
    return [Probe(name, part, PARTS[part], task) for task in tasks for name in inputs for part in PARTS]


def compare(options: argparse.Namespace) -> None:
    """Parts 1 and 2: one by one against stacked."""
    inputs = synthetic_inputs(options.objects, options.objects // 4)

    def probes_of(config: EvaluationConfig) -> list[Probe]:
        return [probe for probe in all_probes(inputs, config) if probe.task.name in BEFORE]

    thorough = EvaluationConfig(protocol="thorough", epochs=options.epochs, hidden_width=options.hidden_width)
    published = thorough.model_copy(update={"protocol": "published", "epochs": options.published_epochs})
    once = published.model_copy(update={"epochs": 1})
    fit_stacked(probes_of(once), inputs, once)  # warm up: the first optimizer imports much
    fit_one_by_one(probes_of(once)[:8], inputs, once)
    alone = timed(lambda: fit_one_by_one(probes_of(thorough), inputs, thorough))
    stacked = timed(lambda: fit_stacked(probes_of(thorough), inputs, thorough))
    quick = timed(lambda: fit_stacked(probes_of(published), inputs, published))
    scores = {
        name: [
            main_score(probe, predicted, inputs[probe.fingerprint])
            for probe, predicted in zip(probes_of(thorough), timing.value, strict=True)  # type: ignore[call-overload]
        ]
        for name, timing in (("alone", alone), ("stacked", stacked), ("quick", quick))
    }
    largest = max(abs(one - two) for one, two in zip(scores["alone"], scores["stacked"], strict=True))
    print(
        f"## {len(scores['alone'])} probes, {options.objects} objects of {VIEWS} views, hidden {options.hidden_width}"
    )
    print(
        f"one by one, {thorough.epochs} epochs of every view: {alone.wall:.1f} s wall, {alone.cpu:.1f} s CPU"
    )
    print(f"stacked, the same draws: {stacked.wall:.1f} s wall, {stacked.cpu:.1f} s CPU: "
          f"{alone.cpu / stacked.cpu:.2f} x; largest difference of a score {largest:.1e}")  # fmt: skip
    per_epoch = quick.cpu / published.epochs, alone.cpu / thorough.epochs
    print(f"stacked, published protocol, {published.epochs} epochs: {quick.wall:.1f} s wall, {quick.cpu:.1f} s CPU; "
          f"an epoch costs {per_epoch[1]:.2f} s one by one, {per_epoch[0]:.3f} s now: "
          f"{per_epoch[1] / per_epoch[0]:.0f} x at equal epochs, {alone.cpu / quick.cpu:.1f} x at these scores:")  # fmt: skip
    print(f"  {'task':<16}{'part':<12}{'one by one':>12}{'stacked':>12}{'published':>12}")
    for number, probe in enumerate(probes_of(thorough)):
        if probe.fingerprint == "trained":
            values = (scores[name][number] for name in ("alone", "stacked", "quick"))
            print(f"  {probe.task.name:<16}{probe.part:<12}" + "".join(f"{value:12.4f}" for value in values))


@dataclass(frozen=True)
class Cost:
    """Operations, bytes and started kernels of a piece of work."""

    name: str
    flops: float
    bytes: float
    kernels: float

    @property
    def h100(self) -> float:
        """Estimated seconds on one H100."""
        return max(self.flops / H100_FLOPS + self.bytes / H100_BYTES, self.kernels * LAUNCH)


def costs(train: int, val: int, parts: Sequence[int], embedding: int, config: EvaluationConfig) -> list[Cost]:
    """What the suite does for a trained and an untrained network, from the sizes alone."""
    found = []
    for task in probe_tasks(LATENTS, CLASSES, VIEWS, config)[0]:
        shown = max(1, round(task.share * train)) * (1 if config.protocol == "published" else VIEWS)
        steps = -(-shown // config.batch_size) * task.epochs
        rows = 3 * shown * task.epochs + val * VIEWS
        for width in parts:
            numbers = _parameters(task, task.views * width, config)
            moved = 2 * steps * (28 * numbers + 12 * config.batch_size * task.views * width)
            # probes of one width share the kernels of a step
            found.append(Cost("probes", 4 * rows * numbers, moved, steps * KERNELS / 3))
    gallery = train if config.protocol == "published" else train * VIEWS
    knn = sum(2.0 * 2 * val * VIEWS * gallery * width for width in parts)
    found.append(Cost("k-NN", knn, 0, 0))
    queries = {"val": val * VIEWS, "train": train * VIEWS}
    for name, networks, pairs in (
        ("MRR and PRE, val-val", 2, [("val", "val")]),  # the only one that the untrained network is asked for
        ("PRE, val-all", 1, [("val", "val"), ("val", "train")]),
        ("MRR and PRE, train-train", 1, [("train", "train")]),
    ):
        flops = 0.0
        for asked, kept in pairs:
            flops += 2.0 * queries[asked] * queries[kept] * embedding
            flops += 2.0 * queries[asked] * 4 * embedding**2 * max(1, queries[kept] / GALLERY_ROWS)
        found.append(Cost(name, networks * flops, networks * flops / embedding, 0))
    return found


def _parameters(task: ProbeTask, width: int, config: EvaluationConfig) -> int:
    """Parameters of one probe; it does two operations with each of them for a row."""
    hidden = [config.hidden_width] * 2 if task.head == "mlp" else []
    return sum(one * two for one, two in pairwise((width, *hidden, task.outputs)))


def memory(
    dimension: int, parts: Sequence[int], embedding: int, config: EvaluationConfig
) -> dict[str, float]:
    """Bytes on the device at once, for a trained and an untrained network."""
    stack = [
        task
        for task in probe_tasks(LATENTS, CLASSES, VIEWS, config)[0]
        if task.head == "mlp" and task.views == 2
    ]
    numbers = 2 * sum(_parameters(task, 2 * width, config) for task in stack for width in parts)
    rows = 2 * len(stack) * config.batch_size * sum(2 * width + 4 * config.hidden_width for width in parts)
    return {
        "features": 2.0 * PUBLISHED_TRAIN * VIEWS * dimension * 2,
        "latents and labels": PUBLISHED_TRAIN * VIEWS * (len(LATENTS) + 1) * 8.0,
        "probes with gradients and Adam": 16.0 * numbers,
        "batches": 4.0 * 2 * rows,
        "retrieval, at another time": 3 * (PUBLISHED_VAL * VIEWS + GALLERY_ROWS) * embedding * 4.0,
    }


def suite(options: argparse.Namespace) -> None:
    """Part 3: everything, on a share of the published size."""
    train, val = (round(number * options.share) for number in (PUBLISHED_TRAIN, PUBLISHED_VAL))
    config = EvaluationConfig(epochs=options.suite_epochs, linear_color_epochs=options.suite_epochs)
    inputs = synthetic_inputs(train, val)
    widths = [stop - start for start, stop in PARTS.values()]
    probes = all_probes(inputs, config)
    torch.manual_seed(0)
    predictor = SyntheticPredictor(512, 1024)
    spaces = {
        split: PredictorSpace(predictor, getattr(inputs["trained"], split), LATENTS, CPU)
        for split in ("train", "val")
    }
    fitted = timed(lambda: fit_stacked(probes, inputs, config))
    neighbors = timed(
        lambda: [
            score_neighbors(item, part, CLASSES, config, CPU)
            for item in inputs.values()
            for part in PARTS.values()
        ]
    )
    with torch.inference_mode():
        found = timed(
            lambda: [
                score_validation(spaces["val"]),
                score_galleries(spaces["val"], list(spaces.values())),
                score_training(spaces["train"]),
            ]
        )
    here = costs(train, val, widths, 1024, config)
    print(
        f"\n## The whole suite on {options.share:.2%} of the published size, {config.epochs} epochs, {len(probes)} probes"
    )
    validation = next(cost.flops for cost in here if cost.name == "MRR and PRE, val-val")
    for name, timing, kinds, elsewhere in (
        ("probes", fitted, ("probes",), 0.0),
        ("k-NN", neighbors, ("k-NN",), 0.0),
        ("retrieval, one network", found, ("MRR", "PRE"), validation / 2),
    ):
        flops = sum(cost.flops for cost in here if cost.name.startswith(kinds)) - elsewhere
        print(
            f"{name}: {timing.wall:.1f} s wall, {timing.cpu:.1f} s CPU, {flops / timing.wall / 1e9:.0f} GFLOP/s"
        )
    score_at_full_size()
    for title, dimension, parts_of, embedding in (
        ("ResNet-18 (512), three parts", 512, widths, 1024),
        ("ResNet-50 (2048), three parts", 2048, [2048, 1024, 1024], 1024),
        ("ResNet-50 (2048), embeddings of 2048", 2048, [2048], 2048),
    ):
        estimate(title, dimension, parts_of, embedding)


def score_at_full_size() -> None:
    """Measures what the host does for each probe at the published size: scores, intervals."""
    generator = torch.Generator().manual_seed(0)
    expected = F.normalize(torch.randn(PUBLISHED_VAL, VIEWS, 4, generator=generator), dim=-1)
    predicted = expected + 0.3 * torch.randn(expected.shape, generator=generator)
    both = timed(
        lambda: bootstrap_all(
            {"r2": r2_by_object(predicted, expected), "angle": median_angle_by_object(predicted, expected)}
        )
    )
    print(f"scores and intervals of one rotation probe at full size, on the host: {both.wall:.1f} s")


def estimate(title: str, dimension: int, parts: Sequence[int], embedding: int) -> None:
    """Prints the estimate for one H100."""
    config = EvaluationConfig()
    totals: dict[str, float] = {}
    for cost in costs(PUBLISHED_TRAIN, PUBLISHED_VAL, parts, embedding, config):
        totals[cost.name] = totals.get(cost.name, 0) + cost.h100
    held = memory(dimension, parts, embedding, config)
    peak = sum(value for name, value in held.items() if "another time" not in name)
    peak = max(peak, held["retrieval, at another time"])
    print(
        f"\n## ESTIMATE for one H100, {title}, trained and untrained: {sum(totals.values()) / 60:.1f} minutes"
    )
    print("; ".join(f"{name} {seconds / 60:.1f} min" for name, seconds in totals.items()))
    print("memory: " + "; ".join(f"{name} {size / 1e9:.2f} GB" for name, size in held.items())
          + f"; most at once {peak / 1e9:.1f} GB")  # fmt: skip


def main() -> None:
    """Runs all parts."""
    parser = argparse.ArgumentParser(description="Time probes and metrics on synthetic features.")
    parser.add_argument("--objects", type=int, default=128, help="for the comparison (%(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="of every view (%(default)s)")
    parser.add_argument("--published-epochs", type=int, default=60, help="of a view an object (%(default)s)")
    parser.add_argument("--hidden-width", type=int, default=1024, help="of MLPs (%(default)s)")
    parser.add_argument("--share", type=float, default=0.005, help="of the published size (%(default)s)")
    parser.add_argument("--suite-epochs", type=int, default=3, help="of the suite (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    compare(options)
    suite(options)


if __name__ == "__main__":
    main()
