"""What the two protocols of probes cost for the same scores: every view in each epoch, or one of each object.

Synthetic features (``synthetic_features.py``), one network, its whole representation. Probes that are fitted one by one to
every view, as `iebench` did before, are set against stacked probes by the published protocol, at several lengths::

    python benchmarks/probe_protocols.py
"""

import argparse

import torch

from eval_speed import BEFORE, fit_one_by_one, fit_stacked, main_score, timed
from iebench.evaluation.probes import Probe
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.tasks import probe_tasks
from synthetic_features import LATENTS, VIEWS, synthetic_inputs


def main() -> None:
    """Prints CPU time and scores of each protocol at each length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=64)
    parser.add_argument("--hidden-width", type=int, default=128)
    parser.add_argument("--every-view", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--one-view", type=int, nargs="+", default=[50, 100, 200, 300, 600])
    options = parser.parse_args()
    torch.set_num_threads(1)
    inputs = {"trained": synthetic_inputs(options.objects, max(2, options.objects // 4))["trained"]}
    ways = (("thorough", options.every_view, fit_one_by_one), ("published", options.one_view, fit_stacked))
    once = EvaluationConfig(epochs=1)
    fit_stacked(_probes(once), inputs, once)  # the first one imports
    print(f"{'':<28}{'epochs':>8}{'CPU s':>8}" + "".join(f"{name:>16}" for name in BEFORE))
    for protocol, lengths, fit in ways:
        for epochs in lengths:
            config = EvaluationConfig(protocol=protocol, epochs=epochs, hidden_width=options.hidden_width)
            probes = _probes(config)
            timing = timed(lambda fit=fit, probes=probes, config=config: fit(probes, inputs, config))
            scores = {
                probe.task.name: main_score(probe, predicted, inputs["trained"])
                for probe, predicted in zip(probes, timing.value, strict=True)  # type: ignore[call-overload]
            }
            row = "".join(f"{scores[name]:16.4f}" for name in BEFORE)
            way = "every view, one by one" if protocol == "thorough" else "published, stacked"
            print(f"{way:<28}{epochs:>8}{timing.cpu:>8.1f}{row}", flush=True)


def _probes(config: EvaluationConfig) -> list[Probe]:
    tasks = [task for task in probe_tasks(LATENTS, 55, VIEWS, config)[0] if task.name in BEFORE]
    return [Probe("trained", "all", (0, 512), task) for task in tasks]


if __name__ == "__main__":
    main()
