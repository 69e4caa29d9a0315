import numpy as np
import pytest
import torch

from iebench.evaluation import knn
from iebench.evaluation.knn import nearest_classes

CPU = torch.device("cpu")


def features(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy clusters on a sphere, of different lengths: (rows, 6) float32 and classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (rows,), generator=generator)
    centers = torch.randn(4, 6, generator=torch.Generator().manual_seed(99))
    lengths = 0.1 + 5 * torch.rand(rows, 1, generator=generator)
    return (centers[labels] + torch.randn(rows, 6, generator=generator)) * lengths, labels


@pytest.mark.parametrize("k", [1, 5, 20])
def test_classes_are_those_of_the_weighted_votes_counted_by_hand(k: int):
    (train, labels), (queries, _) = features(200, 0), features(40, 1)
    found = nearest_classes(train, labels, queries, 4, CPU, k, temperature=0.2)
    rows, asked = (
        values.numpy() / np.linalg.norm(values.numpy(), axis=1, keepdims=True) for values in (train, queries)
    )
    for query, ranked in zip(asked, found.tolist(), strict=True):
        similarity = rows @ query
        votes = np.zeros(4)
        for neighbor in np.argsort(-similarity)[:k]:
            votes[labels[neighbor]] += np.exp(similarity[neighbor] / 0.2)
        known = np.count_nonzero(votes)  # classes without a vote are in no order
        assert ranked[:known] == np.argsort(-votes)[:known].tolist()
        assert sorted(ranked) == [0, 1, 2, 3]


def test_chunks_change_no_class(monkeypatch: pytest.MonkeyPatch):
    (train, labels), (queries, expected) = features(300, 0), features(90, 1)
    whole = nearest_classes(train, labels, queries, 4, CPU)
    monkeypatch.setattr(knn, "QUERIES_AT_ONCE", 7)
    monkeypatch.setattr(knn, "TRAIN_ROWS_AT_ONCE", 11)
    assert torch.equal(nearest_classes(train, labels, queries, 4, CPU)[:, 0], whole[:, 0])
    assert (whole[:, 0] == expected).float().mean() > 0.6


def test_half_precision_features_and_fewer_rows_than_neighbors_will_do():
    (train, labels), (queries, _) = features(6, 0), features(5, 1)
    found = nearest_classes(train.half(), labels, queries.half(), 9, CPU, k=20)
    assert found.shape == (5, 5)
    assert set(found[:, 0].tolist()) <= set(labels.tolist())
