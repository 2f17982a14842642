"""Run a pipeline as Kedro does, without the nodes whose outputs are current.

`AbstractRunner.run` filters the pipeline, warms the catalog up and calls `self._run`: the method
that custom runners override. The session puts `incremental_run` in its place, so that every
option of `kedro run`, every runner with threads, and a notebook behave the same.
"""

from __future__ import annotations

import functools
import json
import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import AbstractRunner
from kedro.runner.task import Task
from pydantic import Field

from numerai_kedro.cache.code import CodeReader
from numerai_kedro.cache.content import Digests, UnknownContentError, contents_of
from numerai_kedro.cache.fingerprint import (
    content_changes,
    differences,
    fingerprint,
    is_parameter,
    one_line,
)
from numerai_kedro.cache.fold_store import FoldStore
from numerai_kedro.cache.lanes import in_order
from numerai_kedro.cache.record import NodeRecords
from numerai_kedro.cache.result_code import PACKAGE, ResultCode, activate
from numerai_kedro.errors import Stopped, StoreError
from numerai_kedro.files import atomic_write
from numerai_kedro.strict import Block, read_block

logger = logging.getLogger(__name__)

FOLDER = ".incremental"
RUN_REPORT = f"{FOLDER}/last_run.json"
ALWAYS = "always"
GB = 1e9
# Stores of results that depend on the code; `keep_fits_of_other_code` applies to them.
CODED_STORES = {"fold_store", "study_store"}
RUN_ALL = "kedro run --params=incremental.run_all=true"


class IncrementalParams(Block):
    """What runs again, and how much is stored; see parameters_incremental.yml."""

    run_all: bool
    cache_limit_gb: float = Field(gt=0)
    keep_fits_of_other_code: bool


@dataclass
class RunReport:
    """What a run did with its nodes.

    Parameters
    ----------
    ran
        Node -> why it ran.
    current
        Nodes that were skipped.
    own_seconds
        Time spent on deciding and recording.
    """

    ran: dict[str, str] = field(default_factory=dict)
    current: list[str] = field(default_factory=list)
    own_seconds: float = 0.0

    def __str__(self) -> str:
        """The line that ends a run."""
        total = len(self.ran) + len(self.current)
        return (
            f"{len(self.current)} of {total} nodes were up to date, {len(self.ran)} ran "
            f"({self.own_seconds:.1f} s to find out); {RUN_ALL} runs all"
        )


class Incremental:
    """Decides node by node, and keeps the records.

    Parameters
    ----------
    data_folder
        The records are kept next to the data that they describe.
    made_here
        Entries that nodes of this run make.
    run_all
        Run every node, and replace its record.
    keeps_code
        Use results of other code as if the current code had made them.
    """

    def __init__(
        self,
        data_folder: Path,
        made_here: Collection[str],
        run_all: bool = False,
        keeps_code: bool = False,
    ) -> None:
        self._folder = data_folder / FOLDER
        self._records = NodeRecords(self._folder / "nodes")
        self._digests = Digests()
        self._code = CodeReader(PACKAGE, self._folder / "code.json")
        self._result_code = ResultCode(self._code, self._folder / "result_code.json", keeps_code)
        self._run_all, self._made_here = run_all, made_here
        self._compared: set[str] = set()  # inputs that other runs made
        self._noted: dict[str, list[Any]] | None = None
        self._lock = threading.Lock()
        self.report = RunReport()

    def read_code(self, pipeline: Pipeline) -> None:
        """Read the sources now: later edits are not part of this run."""
        activate(self._result_code)
        with self._own_time():
            for node in pipeline.nodes:
                with suppress(UnknownContentError):
                    self._code.of([node.func])

    def step(self, task: Task) -> Node:
        """Run a node, unless it is current."""
        node, catalog = task.node, task.catalog
        with self._own_time():
            self._check_inputs(node, catalog)
            reason, current = self._why(node, catalog)
            if reason is None:
                self.report.current.append(node.name)
                logger.debug("%s: up to date", node.name)
                return node
            self.report.ran[node.name] = reason
            self._records.begin(node.name, node.outputs)
        logger.info("%s: %s", node.name, reason)
        task.execute()
        with self._own_time():
            outputs = {name: self._contents(catalog, name) for name in node.outputs}
            self._records.finish(node.name, current, outputs)
        return node

    def _check_inputs(self, node: Node, catalog: Any) -> None:
        """Compare inputs that other runs made with the records of those runs.

        Raises
        ------
        StoreError
            An input is damaged, and the run cannot do without it.
        """
        for name in node.inputs:
            if name in self._made_here or name in self._compared or is_parameter(name):
                continue
            self._compared.add(name)
            if self._noted is None:
                self._noted = self._records.outputs()
            if self._is_noted(name, catalog, self._noted):
                continue
            # What another run has made in the meantime, or is making now, is no damage.
            if not self._is_noted(name, catalog, self._records.outputs()):
                _distrust(catalog, name)

    def _is_noted(self, name: str, catalog: Any, noted: dict[str, list[Any]]) -> bool:
        """Whether an entry matches a record of it, if any; an empty entry is no damage."""
        contents = self._contents(catalog, name)
        if not contents or name not in noted:
            return True
        # An extra file, left by a file manager or an editor, is no damage.
        return any(recorded and recorded.items() <= contents.items() for recorded in noted[name])

    def close(self) -> None:
        """Save what the next run can use; losing it costs that run nothing but time."""
        with self._own_time():
            self._code.save()
            self._result_code.save()
        with atomic_write(self._folder.parent / RUN_REPORT) as handle:
            report = {
                "ran": self.report.ran,
                "current": self.report.current,
                "own_seconds": round(self.report.own_seconds, 3),
            }
            handle.write(json.dumps(report, indent=1).encode())

    def _why(self, node: Node, catalog: Any) -> tuple[str | None, dict[str, Any] | None]:
        """Why a node runs (None if it need not), and what its outputs will be made from."""
        if ALWAYS in node.tags:
            return "always runs", None
        try:
            current = fingerprint(node, catalog, self._code, self._digests)
        except UnknownContentError as unknown:
            return str(unknown), None
        if self._run_all:
            return "all nodes were asked for", current
        record = self._records.read(node.name)
        if record is None:
            return "never ran here", current
        if record["status"] != "done":
            return "did not finish last time", current
        if record["fingerprint"] is None:
            return "its fingerprint is not known", current
        if record["fingerprint"] != current:
            return one_line(differences(record["fingerprint"], current)), current
        for name in node.outputs:
            if changed := self._output_changed(catalog, name, record["outputs"].get(name)):
                return changed, current
        return None, current

    def _output_changed(self, catalog: Any, name: str, recorded: Any) -> str | None:
        dataset = catalog.get(name)
        unfinished = getattr(dataset, "unfinished", lambda: None)()
        if unfinished:
            return f"{name} {unfinished}"
        contents = self._contents(catalog, name)
        if contents is None:
            return f"output {name} has no content that could be compared"
        if not contents:
            return f"output {name} is missing"
        if contents != recorded:
            return f"output {one_line(content_changes(name, recorded or {}, contents))} by hand"
        return None

    def _contents(self, catalog: Any, name: str) -> dict[str, str] | None:
        return contents_of(catalog.get(name), self._digests)

    @contextmanager
    def _own_time(self) -> Iterator[None]:
        """Measure the time of decisions; one node decides at a time, as all share the digests."""
        with self._lock:
            begin = time.perf_counter()
            try:
                yield
            finally:
                self.report.own_seconds += time.perf_counter() - begin


def incremental_run(
    runner: AbstractRunner,
    data_folder: Path,
    pipeline: Pipeline,
    catalog: Any,
    hook_manager: Any = None,
    run_id: str | None = None,
    stop: Callable[[], None] = lambda: None,
) -> None:
    """Replace `AbstractRunner._run`; outputs that come out identical make no later node run.

    Parameters
    ----------
    stop
        Ends whatever other threads of this process are waiting for.
    """
    runner._validate_catalog(catalog)
    runner._validate_nodes(pipeline.nodes)
    params = read_block(IncrementalParams, "incremental", catalog.load("params:incremental"))
    for name in CODED_STORES & pipeline.datasets():
        catalog.get(name).keeps_other_code = params.keep_fits_of_other_code
    flags = (params.run_all, params.keep_fits_of_other_code)
    incremental = Incremental(data_folder, pipeline.all_outputs(), *flags)
    incremental.read_code(pipeline)
    loads = Counter(chain.from_iterable(node.inputs for node in pipeline.nodes))

    def step(node: Node) -> Node:
        task = Task(
            node=node,
            catalog=catalog,
            hook_manager=hook_manager,
            is_async=runner._is_async,
            run_id=run_id,
        )
        return incremental.step(task)

    try:
        pool = runner._get_executor(runner._get_required_workers_count(pipeline))
        for node in in_order(pipeline, step, pool, _apart(catalog), stop):
            runner._release_datasets(node, catalog, loads, pipeline)
            if "fold_store" in node.inputs and node.name in incremental.report.ran:
                _keep_within(catalog.load("fold_store"), params.cache_limit_gb)
    except KeyboardInterrupt as stop:
        # An exception that Kedro's hooks see, so that MLflow records the run.
        raise Stopped(stop.args[0] if stop.args else signal.SIGINT) from None
    finally:
        incremental.close()
        logger.info("%s", incremental.report)


def _distrust(catalog: Any, name: str) -> None:
    """Treat a damaged input as failed if that costs one model only; otherwise stop.

    Raises
    ------
    StoreError
        Nothing can replace it.
    """
    dataset = catalog.get(name)
    where = dataset._describe().get("filepath", name)
    damage = f"{where}: not what was written (a flipped bit, or changed by hand)"
    if not hasattr(dataset, "distrust"):
        raise StoreError(f"{damage}; kedro run --pipeline=weekly makes it again.")
    dataset.distrust(damage)


def _keep_within(store: FoldStore, limit_gb: float) -> None:
    freed = store.keep_within(limit_gb * GB)
    if freed:
        logger.info(
            "fold store: %.2f GB of models were deleted, least recently used first (incremental."
            "cache_limit_gb: %g)",
            freed / GB,
            limit_gb,
        )


def _apart(catalog: Any) -> Callable[[Node], bool]:
    """Whether a node belongs to a model that the plan trains in parallel with the others."""

    @functools.cache
    def names() -> frozenset[str]:
        plan = catalog.load("resource_plan") if catalog.exists("resource_plan") else {}
        return frozenset(plan.get("apart", ()))

    # A model's nodes read the plan, so it exists when the first of them could run.
    return lambda node: "resource_plan" in node.inputs and node.namespace in names()
