"""Two lanes run in parallel, keep the order of dependent nodes, and end together."""

import threading

import pytest
from kedro.pipeline import Node, Pipeline

from numerai_kedro.cache.lanes import in_order


def stay(*given):
    """Do nothing."""
    return 0


def node(name, *inputs):
    return Node(stay, list(inputs) or None, f"{name}_out", name=name)


# plan ─► cpu_1 ─► cpu_2 ─┬─► end
#      └► gpu_1 ─► gpu_2 ─┘
WEEK = Pipeline(
    [
        node("plan"),
        node("cpu_1", "plan_out"),
        node("cpu_2", "cpu_1_out"),
        node("gpu_1", "plan_out"),
        node("gpu_2", "gpu_1_out"),
        node("end", "cpu_2_out", "gpu_2_out"),
    ]
)


def run(step, apart=lambda task: task.name.startswith("gpu"), stop=lambda: None):
    return [task.name for task in in_order(WEEK, step, None, apart, stop)]


def test_both_lanes_are_at_work_at_the_same_time():
    """Each first node waits for the other: one after the other they would never meet."""
    meeting = threading.Barrier(2, timeout=30)

    def step(task):
        if task.name.endswith("_1"):
            meeting.wait()
        return task

    order = run(step)
    assert sorted(order) == sorted(task.name for task in WEEK.nodes)
    assert (order[0], order[-1]) == ("plan", "end")
    assert order.index("gpu_1") < order.index("gpu_2")
    assert order.index("cpu_1") < order.index("cpu_2")


def test_a_lane_runs_one_node_at_a_time():
    several = Pipeline([node("plan"), *(node(f"gpu_{k}", "plan_out") for k in range(3))])
    together = threading.Barrier(2)

    def step(task):
        if task.name.startswith("gpu"):
            with pytest.raises(threading.BrokenBarrierError):  # nobody else is there
                together.wait(0.2)
            together.reset()
        return task

    apart = lambda task: task.name.startswith("gpu")  # noqa: E731
    assert len(list(in_order(several, step, None, apart, lambda: None))) == 4


def test_without_a_second_lane_everything_runs_in_this_thread():
    threads = set()

    def step(task):
        threads.add(threading.current_thread())
        return task

    assert run(step, apart=lambda task: False) == [task.name for task in WEEK.nodes]
    assert threads == {threading.main_thread()}


def test_an_error_in_one_lane_ends_the_other_and_is_raised():
    ended = threading.Event()

    def step(task):
        if task.name == "gpu_1":
            raise KeyError("card")
        if task.name == "cpu_1":
            assert ended.wait(30)
        return task

    with pytest.raises(KeyError, match="card"):
        run(step, stop=ended.set)
    assert ended.is_set()
