"""Runs an evaluation: one frozen pass of all encoders, then every probe and metric on the stored features."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from torch import Tensor, nn

from iebench.backbones.encoder import EmbeddingPredictor, Encoder
from iebench.evaluation.protocol import EvaluationConfig, Suite
from iebench.evaluation.results import Evaluation, checked_name, default_name
from iebench.evaluation.score_store import Existing
from iebench.evaluation.session import Request, Session
from iebench.evaluation.splits import open_splits
from iebench.training.processes import Processes, launched
from shards.errors import UsageError
from shards.origin import location_of

FEATURES_FOLDER = "features"


def evaluate_encoder(
    encoder: Encoder | Callable[[Tensor], Tensor],
    data: Path | str,
    transform: Callable[[Tensor], Tensor] | None = None,
    parts: Mapping[str, tuple[int, int]] | None = None,
    predictor: EmbeddingPredictor | None = None,
    *,
    fit: Path | str | None = None,
    config: EvaluationConfig | None = None,
    out: Path | str | None = None,
    name: str | None = None,
    device: str = "auto",
    suites: Sequence[Suite] = ("standard",),
    ood: Path | str | None = None,
) -> Evaluation:
    """Evaluates any encoder on a dataset by every metric that the dataset allows.

    Example::

        evaluation = evaluate_encoder(network, "data/views", transform=lambda images: images.float() / 255)
        print(evaluation.find("trained", "rotation", "all", "r2"))

    Args:
        encoder: Network or function from images to vectors (batch, dimension).
        data: Folder of a dataset; everything is measured on its validation split.
        transform: Function from uint8 images (batch, 3, height, width) to what the encoder takes; by default none.
        parts: Columns (start, stop) of each named part of the representation; ``all`` is added.
        predictor: Predictor that moves embeddings by a transformation; it adds the retrieval metrics.
        fit: Folder of the dataset to whose training split probes are fitted; by default ``data``.
        config: Protocol and lengths of the probes; by default the published protocol.
        out: Folder in which ``evaluations/NAME.json`` is written; by default nothing is kept.
        name: Name of the evaluation; by default that of the dataset.
        device: ``auto``, ``cpu`` or ``cuda``.
        suites: ``standard``, ``robustness``, ``steering``, ``linear``, or several of them.
        ood: Folder of a dataset outside the training range, as a further test of ``robustness``.

    Raises:
        UsageError: The dataset has no validation views.
        IebenchError: A shard cannot be read, or the encoder does not fit the images.
    """
    request = Request(
        as_encoder(encoder, transform, parts, predictor), None, Path(out) if out is not None else None
    )
    with launched(device) as processes:
        (result,) = evaluate_requests(
            [request],
            Path(data),
            Path(fit) if fit is not None else None,
            config or EvaluationConfig(),
            processes,
            name=name,
            suites=suites,
            ood=Path(ood) if ood is not None else None,
        )
    return result


def evaluate_requests(
    requests: Sequence[Request],
    data: Path,
    fit: Path | None,
    config: EvaluationConfig,
    processes: Processes,
    *,
    name: str | None = None,
    keeps_features: bool = False,
    existing: Existing = "keep",
    suites: Sequence[Suite] = ("standard",),
    ood: Path | None = None,
) -> list[Evaluation]:
    """Evaluates encoders together: one pass over the shards, and probes fitted at once.

    Results are written score by score, so that an evaluation that was stopped resumes with the next score; scores of
    other suites in the file are kept. All ``processes`` must make this call. With ``keeps_features``, features stay
    in ``FOLDER/features/NAME``; ``existing`` is the treatment of an earlier evaluation of the same name. The other
    arguments are those of ``evaluate_encoder``.

    Returns:
        The results, in every process.

    Raises:
        UsageError: The dataset has no validation views, or a file of the same name holds another evaluation.
        IebenchError: A shard cannot be read, or an encoder does not fit the images.
    """
    with processes.fail_together():
        if ood is not None and "robustness" not in suites:
            raise UsageError("a dataset outside the training range is for --suite robustness; add it")
        splits = open_splits(data, fit, ood)
        fit_location = location_of(fit) if fit is not None else None
        chosen = checked_name(name or default_name(location_of(data), fit_location))
        session = Session(splits, config, processes, chosen, suites)
    with _scratch_folder(processes) as scratch:
        with processes.fail_together():
            folders = [
                (request.folder / FEATURES_FOLDER / chosen if request.folder else scratch / str(number))
                for number, request in enumerate(requests)
            ]
            for request, folder in zip(requests, folders, strict=True):
                session.enter(request, folder, existing)
        session.run(keeps_features)
        results = session.finish()
    with processes.fail_together():
        if processes.is_first and not keeps_features:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
                with suppress(OSError):  # another evaluation's features are there
                    folder.parent.rmdir()
    return results


def as_encoder(
    network: Encoder | Callable[[Tensor], Tensor],
    transform: Callable[[Tensor], Tensor] | None,
    parts: Mapping[str, tuple[int, int]] | None,
    predictor: EmbeddingPredictor | None,
) -> Encoder:
    """Wraps a network or function as an encoder; an ``Encoder`` without additions is returned as it is."""
    if isinstance(network, Encoder) and transform is None and parts is None and predictor is None:
        return network
    name = getattr(network, "name", None) or getattr(network, "__name__", type(network).__name__)
    if transform is not None:
        network = WithTransform(transform, network)
    return Encoder(network, str(name), parts=parts, predictor=predictor)


class WithTransform(nn.Module):
    """A network behind a function that prepares its images."""

    def __init__(self, transform: Callable[[Tensor], Tensor], network: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.transform = transform
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.transform(images))


@contextmanager
def _scratch_folder(processes: Processes) -> Iterator[Path]:
    """Makes a temporary folder for features that are not kept; all processes use the one of rank 0."""
    made = tempfile.mkdtemp(prefix="iebench-") if processes.is_first else ""
    folder = Path(processes.broadcast_text(made))
    try:
        yield folder
    finally:
        if processes.is_first:
            shutil.rmtree(folder, ignore_errors=True)
