import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from iebench.evaluation.feature_rows import standardization_of
from iebench.evaluation.features import Features
from iebench.evaluation.probes import (
    Probe,
    ProbeInput,
    fit_probes,
    group_probes,
    name_of_fit,
    targets_of_test,
)
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.scores import median_angle_degrees, r2, rotation_angles
from iebench.evaluation.tasks import ProbeTask, probe_tasks, targets_of
from iebench.evaluation.view_draws import pairs_of_test, train_draws
from shards.errors import IebenchError
from shards.variants import VARIANTS

CONFIG = EvaluationConfig(epochs=40, batch_size=64, hidden_width=64, protocol="thorough")
CPU = torch.device("cpu")
LATENTS = [latent.name for latent in VARIANTS["3diebench"]]
CLASSES = 4


def features(objects: int, seed: int, informative: bool = True) -> Features:
    """Representations of 12 numbers that hold the class and the pose, or nothing."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(objects) % CLASSES
    latents = (torch.rand(objects, 8, 7, generator=generator, dtype=torch.float64) - 0.5) * 2
    noise = torch.randn(objects, 8, 12, generator=generator)
    if informative:
        noise[..., :4] += 5 * torch.eye(4)[labels][:, None]
        noise[..., 4:7] = latents[..., :3].float()
    return Features(noise.half(), latents, labels, [("synset", str(number)) for number in range(objects)])


def pair(informative: bool = True, train: int = 64, val: int = 16) -> ProbeInput:
    return ProbeInput(features(train, 0, informative), features(val, 1, informative))


def task(name: str, config: EvaluationConfig = CONFIG) -> ProbeTask:
    tasks, _ = probe_tasks(LATENTS, CLASSES, 8, config)
    return next(item for item in tasks if item.name == name)


def fit(name: str, inputs: ProbeInput, config: EvaluationConfig = CONFIG) -> torch.Tensor:
    (found,) = fit_probes([Probe("one", "all", (0, 12), task(name, config))], {"one": inputs}, config, CPU)
    return found


def test_classes_that_are_there_are_found():
    inputs = pair()
    ranked = fit("classification", inputs)
    assert ranked.shape == (16, 8, CLASSES)
    assert (ranked[..., 0] == inputs.val.labels[:, None]).float().mean() > 0.9


def test_classes_that_are_not_there_are_not_found():
    inputs = pair(informative=False, val=64)
    ranked = fit("classification", inputs)
    assert (ranked[..., 0] == inputs.val.labels[:, None]).float().mean() < 0.4


def test_rotations_that_are_there_are_regressed():
    inputs = pair()
    predicted = fit("rotation", inputs).flatten(0, 1)
    expected = targets_of_test(task("rotation"), inputs.val).flatten(0, 1)
    assert expected.shape == (16 * 8, 4)
    assert r2(predicted, expected) > 0.7
    assert median_angle_degrees(predicted, expected) < 25


def test_rotations_that_are_not_there_give_no_score_above_the_constant():
    inputs = pair(informative=False)
    predicted = fit("rotation", inputs).flatten(0, 1)
    expected = targets_of_test(task("rotation"), inputs.val).flatten(0, 1)
    constant = expected.mean(dim=0).expand_as(expected)
    assert r2(predicted, expected) < r2(constant, expected) + 0.05


def test_the_published_protocol_shows_one_pair_of_each_object_in_an_epoch():
    first, second = train_draws(10, 8, EvaluationConfig(), epoch=3)
    assert sorted((first // 8).tolist()) == list(range(10))
    assert torch.equal(first // 8, second // 8)
    assert not (first == second).any()
    other, _ = train_draws(10, 8, EvaluationConfig(), epoch=4)
    assert not torch.equal(other.sort().values, first.sort().values)


def test_the_thorough_protocol_shows_every_view_in_an_epoch():
    first, second = train_draws(10, 8, CONFIG, epoch=3)
    assert sorted(first.tolist()) == list(range(80))
    assert torch.equal(first // 8, second // 8)
    assert not (first == second).any()


def test_a_share_of_the_objects_is_the_same_in_every_epoch():
    shown = [set((train_draws(100, 8, CONFIG, epoch, 0.1)[0] // 8).tolist()) for epoch in range(3)]
    assert shown[0] == shown[1] == shown[2]
    assert len(shown[0]) == 10


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["published", "thorough"])
def test_a_stack_of_probes_equals_each_probe_fitted_alone(protocol: str):
    config = EvaluationConfig(
        epochs=3, linear_color_epochs=3, batch_size=32, hidden_width=16, protocol=protocol
    )
    tasks, _ = probe_tasks(LATENTS, CLASSES, 8, config)
    inputs = {"one": pair(), "two": ProbeInput(features(64, 0, False), features(16, 1, False))}
    probes = [
        Probe(network, part, columns, item)
        for item in tasks
        for network in inputs
        for part, columns in {"all": (0, 12), "first": (0, 6), "last": (6, 12)}.items()
    ]
    groups = group_probes(probes)
    assert sum(map(len, groups)) == len(probes)
    assert len(groups) < len(probes) / 4
    for group in groups:
        together = fit_probes(group, inputs, config, CPU)
        for probe, found in zip(group, together, strict=True):
            (alone,) = fit_probes([probe], inputs, config, CPU)
            if probe.task.is_classification:
                assert (alone == found).float().mean() > 0.99
            else:
                torch.testing.assert_close(alone, found, rtol=1e-3, atol=1e-4)


def test_a_stacked_probe_equals_a_plain_network_trained_by_a_plain_loop():
    config = EvaluationConfig(epochs=5, batch_size=32, hidden_width=16)
    inputs = pair()
    found = fit("rotation", inputs, config).flatten(0, 1)

    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    rows, latents = inputs.train.representations.flatten(0, 1).float(), inputs.train.latents.flatten(0, 1)
    for epoch in range(config.epochs):
        first, second = train_draws(64, 8, config, epoch)
        for one, two in zip(first.split(32), second.split(32), strict=True):
            target = targets_of(task("rotation"), latents[one], latents[two])
            loss = F.mse_loss(network(torch.cat((rows[one], rows[two]), dim=1)), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    rows = inputs.val.representations.flatten(0, 1).float()
    first, second = pairs_of_test(16, 8)
    with torch.no_grad():
        expected = network(torch.cat((rows[first], rows[second]), dim=1))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_linear_classification_comes_to_the_weights_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(12, CLASSES, generator=generator)

    def drawn(objects: int) -> Features:
        rows = torch.randn(objects, 8, 12, generator=generator)
        labels = torch.distributions.Categorical(logits=rows[:, 0] @ truth).sample()
        return Features(
            rows[:, :1].expand(-1, 8, -1).half(), torch.zeros(objects, 8, 7), labels, [("", "")] * objects
        )

    torch.manual_seed(1)
    inputs = ProbeInput(drawn(600), drawn(400))
    config = EvaluationConfig(epochs=300, lr=1e-2)
    ranked = fit("classification", inputs, config)[:, 0]
    train, val = (item.representations[:, 0].float().numpy() for item in (inputs.train, inputs.val))
    reference = LogisticRegression(C=1e6, max_iter=1000).fit(train, inputs.train.labels.numpy())
    order = np.argsort(-reference.decision_function(val), axis=1)
    assert (ranked.numpy()[:, 0] == order[:, 0]).mean() > 0.97


def test_a_linear_probe_finds_a_linear_map_as_scikit_learn_does():
    from sklearn.linear_model import LinearRegression

    inputs = pair(train=256)
    config = EvaluationConfig(epochs=1, linear_color_epochs=300, lr=1e-2)
    for item in (inputs.train, inputs.val):  # hues that the representation holds as they are
        item.latents[..., [3, 6]] = item.representations[..., 8:10].double()
    predicted = fit("color_linear", inputs, config).flatten(0, 1)
    expected = targets_of_test(task("color_linear", config), inputs.val).flatten(0, 1)
    rows = {name: item.representations.flatten(0, 1).float() for name, item in vars(inputs).items()}
    first, second = train_draws(256, 8, CONFIG, 0)
    target = targets_of(
        task("color_linear"),
        inputs.train.latents.flatten(0, 1)[first],
        inputs.train.latents.flatten(0, 1)[second],
    )
    reference = LinearRegression().fit(
        torch.cat((rows["train"][first], rows["train"][second]), dim=1).numpy(), target.numpy()
    )
    first, second = pairs_of_test(16, 8)
    theirs = torch.from_numpy(
        reference.predict(torch.cat((rows["val"][first], rows["val"][second]), dim=1).numpy())
    )
    assert r2(theirs, expected) > 0.999
    assert r2(predicted, expected) > 0.999


def test_probes_give_the_same_twice():
    first, second = (fit("rotation", pair()) for _ in range(2))
    assert torch.equal(first, second)


def test_a_killed_fit_goes_on_to_the_same_end(tmp_path, monkeypatch):
    config = EvaluationConfig(epochs=6, batch_size=32, hidden_width=16)
    probes = [Probe("one", "all", (0, 12), task("rotation", config))]
    inputs = {"one": pair()}
    (expected,) = fit_probes(probes, inputs, config, CPU)
    monkeypatch.setattr("iebench.evaluation.probes.KEEP_EVERY", 0)
    draw, calls = train_draws, []

    def killed(objects, views, config, epoch, share=1.0):
        calls.append(epoch)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return draw(objects, views, config, epoch, share)

    with monkeypatch.context() as patch:
        patch.setattr("iebench.evaluation.probes.train_draws", killed)
        with pytest.raises(KeyboardInterrupt):
            fit_probes(probes, inputs, config, CPU, tmp_path)
    assert list(tmp_path.glob("*.pt"))
    shown = []
    monkeypatch.setattr(
        "iebench.evaluation.probes.train_draws",
        lambda objects, views, config, epoch, share=1.0: (
            shown.append(epoch) or draw(objects, views, config, epoch, share)
        ),
    )
    (found,) = fit_probes(probes, inputs, config, CPU, tmp_path)
    assert shown == [3, 4, 5]
    assert torch.equal(found, expected)
    assert not list(tmp_path.glob("*.pt"))


def test_a_kept_fit_that_is_cut_short_starts_anew(tmp_path, monkeypatch, capsys):
    config = EvaluationConfig(epochs=2, batch_size=32, hidden_width=16)
    probes = [Probe("one", "all", (0, 12), task("rotation", config))]
    inputs = {"one": pair()}
    (expected,) = fit_probes(probes, inputs, config, CPU)
    (tmp_path / f"{name_of_fit(probes, config)}.pt").write_bytes(b"PK\x03\x04 half")
    (found,) = fit_probes(probes, inputs, config, CPU, tmp_path)
    assert torch.equal(found, expected)
    assert "start anew" in capsys.readouterr().err


def test_features_are_standardized_by_mean_and_deviation_in_chunks():
    rows = torch.randn(700, 8, 12) * 3 + 100
    rows[..., 3] = 7.0
    mean, deviation = standardization_of(rows, CPU)
    flat = rows.flatten(0, 1).double()
    torch.testing.assert_close(mean.double(), flat.mean(dim=0), rtol=1e-5, atol=1e-5)
    assert deviation[3] == 1
    torch.testing.assert_close(deviation.double()[:3], flat.std(dim=0)[:3], rtol=1e-5, atol=1e-5)


def test_a_dataset_without_a_latent_leaves_out_what_needs_it_by_name():
    tasks, left_out = probe_tasks([name for name in LATENTS if name != "floor_hue"], 4, 8, CONFIG)
    assert {"rotation", "light", "classification", "pose"} <= {item.name for item in tasks}
    assert {(item.task, item.reason) for item in left_out} == {
        ("color", "the dataset lacks the latent floor_hue"),
        ("color_linear", "the dataset lacks the latent floor_hue"),
    }


def test_one_view_an_object_and_one_class_leave_out_what_needs_more():
    tasks, left_out = probe_tasks(LATENTS, 1, 1, CONFIG)
    assert {item.name for item in tasks} == {"pose", "latents"}
    assert {item.task for item in left_out} >= {"classification", "rotation", "color", "light"}


def test_diverging_probes_are_one_sentence():
    config = EvaluationConfig(epochs=2, batch_size=32, hidden_width=16, lr=1e30)
    with pytest.raises(IebenchError, match="diverged; use a lower"):
        fit("rotation", pair(), config)


def test_angles_of_predictions_are_in_degrees():
    predicted = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    assert rotation_angles(predicted, predicted).item() == pytest.approx(0, abs=1e-3)
