"""What the environment says about how a process was started."""

import pytest

from iebench.training.launch import Launch, first_node, raise_once_per_node, read_launch
from shards.errors import UsageError

TORCHRUN = {
    "RANK": "5",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "8",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "first",
    "MASTER_PORT": "29500",
}
JOB = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_NTASKS": "8",
    "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_NODELIST": "node[07-08]",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}
STEP = {
    **JOB,
    "SLURM_STEP_ID": "2",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "node[07-08]",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
}


def test_a_process_without_such_variables_is_alone():
    assert read_launch({}) == Launch()


def test_torchrun_says_which_process_this_is():
    assert read_launch(TORCHRUN) == Launch(5, 1, 8, 4, "first", 29500)


def test_a_task_of_srun_is_one_of_several():
    assert read_launch(STEP) == Launch(5, 1, 8, 4, "node07", 15000 + 4569, by_slurm=True)


def test_two_steps_of_a_job_meet_at_different_ports():
    assert read_launch(STEP).port != read_launch({**STEP, "SLURM_STEP_ID": "3"}).port


def test_address_and_port_can_be_given():
    launch = read_launch({**STEP, "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "4000"})
    assert (launch.address, launch.port) == ("10.0.0.1", 4000)


def test_a_batch_script_is_one_process_however_many_tasks_its_job_has():
    assert read_launch(JOB) == Launch()


def test_a_step_of_one_task_is_one_process():
    assert read_launch({**STEP, "SLURM_STEP_NUM_TASKS": "1"}) == Launch()


def test_a_torchrun_that_srun_started_comes_first():
    assert read_launch({**STEP, **TORCHRUN}) == read_launch(TORCHRUN)


@pytest.mark.parametrize("missing", ["RANK", "LOCAL_RANK", "MASTER_ADDR"])
def test_variables_that_leave_the_process_open_are_an_error(missing: str):
    with pytest.raises(UsageError, match=missing):
        read_launch({name: value for name, value in TORCHRUN.items() if name != missing})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("node[07-09,12],login1", "node07"),
        ("node[3],other[1-2]", "node3"),
        ("rack[2-3]node[10-11]", "rack2node10"),
        ("10.0.0.1", "10.0.0.1"),
        ("gpu-a[1-2]-ib", "gpu-a1-ib"),
    ],
)
def test_the_first_of_a_list_of_nodes_is_where_all_meet(nodes: str, first: str):
    assert first_node(nodes) == first


def test_what_fails_alike_on_a_node_is_said_by_its_first_process(monkeypatch: pytest.MonkeyPatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended, raise_once_per_node():
        raise UsageError("no")
    assert ended.value.code == 2
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(UsageError), raise_once_per_node():
        raise UsageError("no")
