"""Lists the tasks of the standard suite that the datasets of an evaluation allow."""

from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.results import LeftOut
from iebench.evaluation.splits import NO_TRAINING_SPLIT, Splits
from iebench.evaluation.tasks import KNN, ProbeTask, probe_tasks


def tasks_of(splits: Splits, config: EvaluationConfig) -> tuple[list[ProbeTask], list[LeftOut]]:
    """Lists the tasks that the datasets allow, and those that they do not, each with the reason."""
    tasks, left_out = probe_tasks(splits.latent_names, splits.classes, splits.views_per_object, config)
    if splits.fit is None:
        names = dict.fromkeys([*(task.name for task in tasks), *(item.task for item in left_out), KNN])
        return [], [LeftOut(name, NO_TRAINING_SPLIT) for name in names]
    if splits.shares_no_class():
        classes = [task.name for task in tasks if task.target is None]
        left_out += [LeftOut(name, "the datasets share no class") for name in (*classes, KNN)]
        return [task for task in tasks if task.target is not None], left_out
    return tasks, left_out + splits.classes_left_out()
