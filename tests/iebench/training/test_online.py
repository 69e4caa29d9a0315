import pytest
import torch

from iebench.training.online import OnlineConfig, OnlineEvaluation, collapse_statistics


def heads(rotation: int = 4) -> OnlineEvaluation:
    return OnlineEvaluation({"representation": 6, "embedding": 3}, 2, OnlineConfig(hidden_width=8), rotation)


def spaces() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    return {
        name: (torch.randn(5, size, requires_grad=True), torch.randn(5, size, requires_grad=True))
        for name, size in (("representation", 6), ("embedding", 3))
    }


def test_gradients_end_at_what_is_watched():
    watched, network = spaces(), heads()
    loss, _ = network(watched, torch.randint(2, (5,)), torch.randn(5, 4))
    loss.backward()
    assert all(view.grad is None for views in watched.values() for view in views)
    assert all(value.grad is not None for value in network.parameters())


def test_each_space_has_a_classifier_and_a_rotation_head():
    _, scores = heads()(spaces(), torch.randint(2, (5,)), torch.randn(5, 4))
    assert set(scores) == {
        f"online_{space}_{score}"
        for space in ("representation", "embedding")
        for score in ("top1", "rotation_r2")
    }


def test_views_without_rotation_are_classified_only():
    _, scores = heads(rotation=0)(spaces(), torch.randint(2, (5,)), None)
    assert set(scores) == {"online_representation_top1", "online_embedding_top1"}


def test_heads_learn_what_is_there():
    torch.manual_seed(0)
    labels = torch.arange(32) % 2
    views = torch.nn.functional.one_hot(labels, 6).float()
    network = OnlineEvaluation({"representation": 6}, 2, OnlineConfig(hidden_width=8), 0)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    for _ in range(30):
        optimizer.zero_grad()
        loss, scores = network({"representation": (views, views)}, labels, None)
        loss.backward()
        optimizer.step()
    assert scores["online_representation_top1"] == 1


def test_statistics_tell_both_kinds_of_collapse():
    spread = torch.randn(4000, 4, generator=torch.Generator().manual_seed(0))
    healthy = collapse_statistics({"space": (spread, spread)})
    assert healthy["space_std"] == pytest.approx(1, abs=0.05)
    assert healthy["space_correlation"] < 0.05
    one_point = collapse_statistics({"space": (torch.ones(8, 4), torch.ones(8, 4))})
    assert one_point == {"space_std": 0, "space_correlation": 0}
    one_line = spread[:, :1].expand(-1, 4)
    assert collapse_statistics({"space": (one_line, one_line)})["space_correlation"] == pytest.approx(
        1, abs=1e-3
    )
