"""Checks a folder of models: counts the objects, and asks the renderer itself which cannot be rendered."""

import contextlib
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from render.catalog import ObjectRef
from render.executor import Execution, open_engine, run_jobs
from render.limits import limits_of
from render.plan import Job, PlanSettings
from render.settings import RenderSettings
from render.worker import require_blender
from shards.class_names import class_name

_SETTINGS = PlanSettings(views=1, render=RenderSettings(image_size=16, samples=1, denoiser="none"))
"""One tiny view, for which Blender loads everything that it would load for a large one."""


@dataclass(frozen=True)
class ModelsReport:
    """Objects by class, the reasons why some cannot be used, and what others lack."""

    objects: tuple[ObjectRef, ...]
    reasons: dict[tuple[str, str], str]
    notes: dict[tuple[str, str], str]

    @property
    def usable(self) -> int:
        return len(self.objects) - len(self.reasons)

    def text(self) -> str:
        """A table per class, then a line per object that cannot be used, or that lacks something."""
        total = Counter(item.synset for item in self.objects)
        train = Counter(item.synset for item in self.objects if item.split == "train")
        broken = Counter(synset for synset, _ in self.reasons)
        lines = [f"{'synset':<10} {'class':<20} {'objects':>8} {'train':>7} {'val':>6} {'unusable':>9}"]
        for synset, count in sorted(total.items()):
            lines.append(
                f"{synset:<10} {class_name(synset):<20} {count:>8} {train[synset]:>7} "
                f"{count - train[synset]:>6} {broken[synset]:>9}"
            )
        lines.append(f"{len(self.objects):,} objects in {len(total)} classes, {self.usable:,} usable")
        lines += [f"  {synset}/{name}: {reason}" for (synset, name), reason in sorted(self.reasons.items())]
        lines += [f"  {synset}/{name}, note: {note}" for (synset, name), note in sorted(self.notes.items())]
        return "\n".join(lines)


def check_models(
    objects: Sequence[ObjectRef],
    workers: int,
    advance: Callable[[], object],
    timeout: float | None = None,
) -> ModelsReport:
    """Imports every model into Blender, renders one tiny view of it, and says what a render would say.

    Args:
        objects: The catalog.
        workers: Number of render processes.
        advance: Function that is called after each object.
        timeout: Seconds for reading a model, and for its view; None means what a render takes.

    Raises:
        UsageError: There is no Blender.
        IebenchError: The models cannot be read at the moment, or no process can work.
    """
    require_blender()
    reasons, notes = {}, {}
    with tempfile.TemporaryDirectory(prefix="iebench-check-") as folder:
        staging = Path(folder)
        (staging / "logs").mkdir()
        jobs = [Job(item, _SETTINGS, staging, kept=False) for item in objects]
        execution = Execution(workers, timeout, device="cpu")
        limits = limits_of(_SETTINGS.render, timeout)
        with (
            contextlib.closing(open_engine(execution, jobs[0])) as engine,
            contextlib.closing(run_jobs(jobs, engine, limits)) as outcomes,
        ):
            for outcome in outcomes:
                if outcome.rendered is None:
                    reasons[outcome.job.item.name] = outcome.reason
                elif outcome.rendered.notes:
                    notes[outcome.job.item.name] = "; ".join(outcome.rendered.notes)
                advance()
    return ModelsReport(tuple(objects), reasons, notes)
