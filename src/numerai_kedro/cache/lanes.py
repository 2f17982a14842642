"""The order in which nodes run: one after the other, in a pool, or in two parallel lanes.

Two lanes are for a machine with a GPU: while boosting trains on the CPU cores, networks train on
the GPU. The plan says which models run apart (``resource_plan["apart"]``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait

from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

Step = Callable[[Node], Node]


def in_order(
    pipeline: Pipeline,
    step: Step,
    pool: Executor | None,
    apart: Callable[[Node], bool],
    stop: Callable[[], None],
) -> Iterator[Node]:
    """Yield nodes as they finish; each starts after all that it depends on.

    Parameters
    ----------
    pool
        Of a runner with threads; None runs one node after the other, except for those apart.
    apart
        Whether a node that could run now goes into the second lane.
    stop
        Ends what runs in other threads when this one has to end.
    """
    if pool is not None:
        yield from _pooled(pipeline, step, pool)
        return
    waiting, needs = list(pipeline.nodes), pipeline.node_dependencies
    done: set[Node] = set()
    while waiting:
        # In this thread as long as possible: here, Ctrl-C ends a node at once.
        if any(apart(node) for node in waiting if needs[node] <= done):
            yield from _in_two_lanes(pipeline, waiting, step, apart, stop)
            return
        node = step(waiting.pop(0))
        done.add(node)
        yield node


def _in_two_lanes(
    pipeline: Pipeline,
    waiting: list[Node],
    step: Step,
    apart: Callable[[Node], bool],
    stop: Callable[[], None],
) -> Iterator[Node]:
    needs = pipeline.node_dependencies
    done = set(pipeline.nodes) - set(waiting)
    lanes = [ThreadPoolExecutor(1), ThreadPoolExecutor(1)]
    running: dict[int, Future[Node]] = {}
    try:
        while waiting or running:
            ready = [node for node in waiting if needs[node] <= done]
            for node in ready:
                lane = int(apart(node))
                if lane not in running:
                    waiting.remove(node)
                    running[lane] = lanes[lane].submit(step, node)
            ended, _ = wait(running.values(), return_when=FIRST_COMPLETED)
            for lane in [lane for lane, future in running.items() if future in ended]:
                node = running.pop(lane).result()
                done.add(node)
                yield node
    except BaseException:
        stop()
        raise
    finally:
        for executor in lanes:
            executor.shutdown()


def _pooled(pipeline: Pipeline, step: Step, pool: Executor) -> Iterator[Node]:
    waiting = dict(pipeline.node_dependencies)
    done: set[Node] = set()
    running: set[Future[Node]] = set()
    with pool:
        while waiting or running:
            for node in [node for node, needs in waiting.items() if needs <= done]:
                del waiting[node]
                running.add(pool.submit(step, node))
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                node = future.result()
                done.add(node)
                yield node
