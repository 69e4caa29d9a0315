"""The splits of an evaluation: one to which probes are fitted, and one on which everything is measured."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from iebench.evaluation.features import Features
from iebench.evaluation.probes import ProbeInput
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.results import EvaluatedData, LeftOut
from iebench.evaluation.tasks import KNN, ProbeTask, probe_tasks
from shards.errors import UsageError
from shards.files import sha256_of
from shards.origin import location_of
from shards.schema import INDEX_NAME, DatasetIndex, open_dataset

NO_TRAINING_SPLIT = "the dataset has no training split; name another one with --fit"


@dataclass(frozen=True)
class Split:
    """One split of a dataset, ``train`` or ``val``."""

    folder: Path
    index: DatasetIndex
    name: str

    @property
    def latent_names(self) -> list[str]:
        return [latent.name for latent in self.index.latents]

    def describe(self) -> EvaluatedData:
        """Describes the split for results."""
        index = self.index
        return EvaluatedData(
            location_of(self.folder),
            sha256_of(self.folder / INDEX_NAME),
            self.name,
            index.split(self.name).objects,
            index.views_per_object,
            len(index.classes),
            index.image_size,
            index.variant,
        )


@dataclass(frozen=True)
class Splits:
    """The splits of an evaluation.

    Attributes:
        test: Validation split on which everything is measured.
        fit: Training split to which probes are fitted; None if there is none.
        ood: Validation split of a dataset outside the training range; None if none is asked for.
    """

    test: Split
    fit: Split | None
    ood: Split | None = None

    @property
    def is_own_training(self) -> bool:
        """Whether probes are fitted to the training split of the evaluated dataset."""
        return self.fit is not None and self.fit.folder == self.test.folder

    @property
    def latent_names(self) -> list[str]:
        """Names of latents that both splits have, in the order of the split to which probes are fitted."""
        if self.fit is None:
            return self.test.latent_names
        known = set(self.test.latent_names)
        return [name for name in self.fit.latent_names if name in known]

    @property
    def classes(self) -> int:
        """Number of classes to which probes are fitted."""
        return len((self.fit or self.test).index.classes)

    @property
    def views_per_object(self) -> int:
        """Number of views of an object, in the split that has fewer."""
        views = self.test.index.views_per_object
        return min(views, self.fit.index.views_per_object) if self.fit else views

    def align(self, train: Features, val: Features) -> ProbeInput:
        """Gives both splits the same latents, and the validation objects the labels of training."""
        assert self.fit is not None
        train_columns, val_columns = (
            [split.latent_names.index(name) for name in self.latent_names] for split in (self.fit, self.test)
        )
        labels = self.labels_of(val.labels, self.test)
        return ProbeInput(
            replace(train, latents=train.latents[..., train_columns]),
            replace(val, latents=val.latents[..., val_columns], labels=labels),
        )

    def labels_of(self, labels: Tensor, split: Split) -> Tensor:
        """Renumbers labels (objects,) of a split as training numbers its classes; -1 stands for a class that it lacks."""
        assert self.fit is not None
        known = {item.synset: item.label for item in self.fit.index.classes}
        table = torch.full((1 + max(item.label for item in split.index.classes),), -1)
        for item in split.index.classes:
            table[item.label] = known.get(item.synset, -1)
        return table[labels]

    def classes_left_out(self) -> list[LeftOut]:
        """Says, as an item of ``left_out``, which classes training lacks."""
        unknown = self._unknown_classes()
        if not unknown:
            return []
        shown = ", ".join(unknown[:5]) + (" and others" if len(unknown) > 5 else "")
        reason = f"objects of {shown} are not counted, because the dataset of --fit lacks these classes"
        return [LeftOut("classification", reason)]

    def tasks(self, config: EvaluationConfig) -> tuple[list[ProbeTask], list[LeftOut]]:
        """Lists the tasks of the standard suite that the datasets allow, and those that they do not, with reasons."""
        tasks, left_out = probe_tasks(self.latent_names, self.classes, self.views_per_object, config)
        if self.fit is None:
            names = dict.fromkeys([*(task.name for task in tasks), *(item.task for item in left_out), KNN])
            return [], [LeftOut(name, NO_TRAINING_SPLIT) for name in names]
        if self.shares_no_class():
            classes = [task.name for task in tasks if task.is_classification]
            left_out += [LeftOut(name, "the datasets share no class") for name in (*classes, KNN)]
            return [task for task in tasks if not task.is_classification], left_out
        return tasks, left_out + self.classes_left_out()

    def shares_no_class(self) -> bool:
        """Returns whether training has none of the validation split's classes."""
        return self.fit is not None and len(self._unknown_classes()) == len(self.test.index.classes)

    def _unknown_classes(self) -> list[str]:
        """Lists the names of the validation split's classes that training lacks."""
        known = {item.synset for item in self.fit.index.classes} if self.fit else set()
        return [item.name for item in self.test.index.classes if item.synset not in known]

    def why_not_classified(self) -> str:
        """Says why no classifier can be fitted and tested; empty if one can."""
        if self.fit is None:
            return NO_TRAINING_SPLIT
        if self.classes < 2:
            return "the dataset has one class only"
        return "the datasets share no class" if self.shares_no_class() else ""


def open_splits(data: Path, fit: Path | None = None, ood: Path | None = None) -> Splits:
    """Opens the datasets of an evaluation.

    Args:
        data: Folder of the dataset on whose validation split everything is measured.
        fit: Folder of the dataset to whose training split probes are fitted; by default ``data``.
        ood: Folder of a dataset outside the training range, whose validation split is a further test.

    Raises:
        UsageError: ``data`` or ``ood`` has no validation views, or ``fit`` is named and has no training views.
        IebenchError: An index cannot be read.
    """
    test = _open_split(data, "val")
    shifted = _open_split(ood, "val") if ood is not None else None
    if fit is not None:
        return Splits(test, _open_split(fit, "train"), shifted)
    try:
        test.index.split("train")
    except UsageError:
        return Splits(test, None, shifted)
    return Splits(test, replace(test, name="train"), shifted)


def _open_split(folder: Path, name: str) -> Split:
    index = open_dataset(folder)
    index.split(name)
    return Split(folder, index, name)
