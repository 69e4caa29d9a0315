"""What a checkpoint holds, and the devices it is loaded to; FakeTensorMode stands for a GPU."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from iebench.training.model import Model, build_model
from iebench.training.opening import restore
from iebench.training.precision import Precision
from iebench.training.processes import Processes
from iebench.training.run import Run, save_checkpoint
from iebench.training.state import TrainingState
from shards.schema import open_dataset
from small_runs import small_recipe

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def stepped(state: TrainingState) -> TrainingState:
    """The state after one step along gradients of 1."""
    for value in state.model.parameters():
        value.grad = torch.ones_like(value)
    state.optimizer.step()
    state.step += 1
    return state


def moved_to_fake_gpu(model: Model, device: torch.device) -> Model:
    """Does what ``Module.to`` does, which cannot swap fake parameters."""
    for module in model.modules():
        for name, value in module._parameters.items():
            if value is not None:
                module._parameters[name] = nn.Parameter(value.detach().to(device), value.requires_grad)
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else buffer.to(device)
    return model


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_optimizers_run_as_fused_kernels(toy_dataset: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    recipe, index = small_recipe(f'optimizer.name="{name}"'), open_dataset(toy_dataset)
    on_cpu = TrainingState(build_model(recipe, index), recipe, Precision("float32", CPU))
    with FakeTensorMode(allow_non_fake_inputs=True):
        monkeypatch.setattr(Model, "to", moved_to_fake_gpu)
        on_gpu = TrainingState(Model(recipe, index, 3), recipe, Precision("float32", GPU))
    for state in (on_cpu, on_gpu):
        assert {group["fused"] for group in state.optimizer.param_groups} == {True}


def test_an_optimizers_state_is_resumed_on_the_device_of_its_parameters(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe, index, run = small_recipe(), open_dataset(toy_dataset), Run(tmp_path)
    before = stepped(TrainingState(build_model(recipe, index), recipe, Precision("float32", CPU)))
    run.last_checkpoint.parent.mkdir()
    save_checkpoint(run.last_checkpoint, before.content())
    with FakeTensorMode(allow_non_fake_inputs=True):
        monkeypatch.setattr(Model, "to", moved_to_fake_gpu)
        state = TrainingState(Model(recipe, index, 3), recipe, Precision("float32", GPU))
        restore(run, state, Processes(0, 1, GPU))
    assert state.step == 1
    moments = [value["exp_avg"] for value in state.optimizer.state.values()]
    assert len(moments) == len(list(state.model.parameters()))
    assert {value.device for value in [*moments, *state.model.parameters()]} == {GPU}


def test_a_changed_recipe_overrules_the_hyper_parameters_of_a_checkpoint(toy_dataset: Path):
    index = open_dataset(toy_dataset)
    recipe = small_recipe()
    before = stepped(TrainingState(build_model(recipe, index), recipe, Precision("float32", CPU)))
    changed = small_recipe("optimizer.weight_decay=0.5", "online.lr=0.25", "online.hidden_width=32")
    state = TrainingState(build_model(changed, index), changed, Precision("float32", CPU))
    state.load(before.content())
    assert state.optimizer.param_groups[0]["weight_decay"] == 0.5
    assert state.optimizer.param_groups[-1]["lr"] == 0.25
    moments = {id(key): value for key, value in state.optimizer.state.items()}
    assert torch.equal(
        moments[id(state.model.backbone.conv1.weight)]["exp_avg"],
        before.optimizer.state[before.model.backbone.conv1.weight]["exp_avg"],
    )
    stepped(state)  # heads of another width have no past


def test_a_checkpoint_holds_the_running_statistics_it_is_given(toy_dataset: Path):
    recipe = small_recipe()
    state = TrainingState(build_model(recipe, open_dataset(toy_dataset)), recipe, Precision("float32", CPU))
    buffers = state.buffers()
    state.model.backbone.bn1.running_mean += 1
    found = state.content(buffers)["model"]["backbone.bn1.running_mean"]
    assert torch.equal(found, torch.zeros_like(found))
