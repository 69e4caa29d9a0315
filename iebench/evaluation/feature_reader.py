"""Reads the features of several networks on the splits of an evaluation, and computes those that are missing."""

from collections.abc import Collection, Mapping

from iebench.backbones.encoder import ALL
from iebench.evaluation.corruptions import ShownViews
from iebench.evaluation.features import Features, FeatureSource, FeatureStore, extract_features
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.score_store import NetworkRecord
from iebench.evaluation.splits import Split
from iebench.training.launch import read_launch
from iebench.training.processes import Processes
from shards.loader import loader_workers


class FeatureReader:
    """Reads the features of networks together, in one pass over the shards of each split.

    Args:
        networks: Networks by name.
        config: Settings with the number of views in a batch and of decoding processes.
        processes: Processes that share the work; each of them must ask for each split.
        shares_features: Whether networks of one encoder use the files of the first of them; else each has its own.

    Attributes:
        by_network: Features that were read, by network and by the name that they are stored as.
    """

    def __init__(
        self,
        networks: Mapping[str, NetworkRecord],
        config: EvaluationConfig,
        processes: Processes,
        shares_features: bool,
    ) -> None:
        first: dict[str, str] = {}
        self._sharers: dict[str, list[str]] = {}
        for name, network in networks.items():
            owner = first.setdefault(network.encoder_fingerprint, name) if shares_features else name
            self._sharers.setdefault(owner, []).append(name)
        self._networks = networks
        self._config = config
        self._processes = processes
        self.by_network: dict[str, dict[str, Features]] = {name: {} for name in networks}

    def read(
        self,
        split: Split,
        stored_as: str = "",
        shown: ShownViews | None = None,
        names: Collection[str] | None = None,
    ) -> None:
        """Reads the features on a split into ``by_network``.

        Args:
            split: The split.
            stored_as: Name of the features; by default that of the split.
            shown: Views and conditions to read instead of every view as it is.
            names: Names of the networks; by default all.

        Raises:
            IebenchError: A shard cannot be read, or an encoder fails.
        """
        stored_as = stored_as or split.name
        asked = self._networks if names is None else names
        users = {
            owner: [name for name in sharers if name in asked] for owner, sharers in self._sharers.items()
        }
        stores = {
            owner: _store(self._networks[owner], split, stored_as, shown)
            for owner, names_of_owner in users.items()
            if names_of_owner
        }
        extract_features(
            [(self._networks[name].encoder, store) for name, store in stores.items()],
            split.folder,
            split.index,
            split.name,
            self._config.feature_batch_size,
            self._processes,
            loader_workers(self._config.workers, read_launch().local_count),
            shown,
        )
        with self._processes.fail_together():
            for owner, store in stores.items():
                features = store.read()
                for name in users[owner]:
                    self.by_network[name][stored_as] = features


def _store(network: NetworkRecord, split: Split, stored_as: str, shown: ShownViews | None) -> FeatureStore:
    described = split.describe()
    _, dimension = network.encoder.parts[ALL]
    source = FeatureSource(
        network.encoder_fingerprint,
        described.sha256,
        f"{split.name}, {shown}" if shown else split.name,
        described.objects,
        shown.rows_per_object if shown else described.views_per_object,
        len(split.index.latents),
        dimension,
    )
    return FeatureStore(network.home / stored_as, source)
