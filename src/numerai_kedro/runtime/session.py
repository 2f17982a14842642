"""The session behind `kedro run`: a run owns its data folder, errors become sentences."""

from __future__ import annotations

import difflib
import functools
import inspect
import logging
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from kedro.config import AbstractConfigLoader
from kedro.framework.session import KedroSession
from kedro.runner import AbstractRunner, ParallelRunner, SequentialRunner

from numerai_kedro.cache.runner import incremental_run
from numerai_kedro.compute.isolation import begin, end_all
from numerai_kedro.errors import (
    ConfigurationError,
    RoundMoved,
    Stopped,
)
from numerai_kedro.files import folder_lock
from numerai_kedro.reporting.notify import NotifyParams, notify
from numerai_kedro.runtime.earlier_version import set_aside_older
from numerai_kedro.runtime.sentences import sentence_of
from numerai_kedro.strict import read_block

logger = logging.getLogger(__name__)

# How long a submission waits for another one to end, which is minutes.
SUBMIT_WAITS_S = 600.0
PIPELINES = Path(__file__).parents[1] / "pipelines"


# Whether a run is one of `WeeklySession`, for the hook that refuses others.
_ours: ContextVar[bool] = ContextVar("_ours", default=False)


class WeeklySession(KedroSession):
    """A `KedroSession` that locks the data folder, skips what is up to date, unwraps our errors."""

    _loader: AbstractConfigLoader | None = None

    def run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run as Kedro does; see `KedroSession.run` for the arguments.

        Raises
        ------
        NumeraiKedroError
            Whatever the user can fix, without the wrapping and without a traceback.
        """
        commands = NotifyParams()
        tell = functools.partial(
            self._tell, time.monotonic(), kwargs.get("pipeline_names") or ["__default__"]
        )
        try:
            commands = self._commands()
            with interruptible():
                result = self._run_in_the_open_round(*args, **kwargs)
        except KeyboardInterrupt as stop:  # before or after the pipeline
            stopped = Stopped(stop.args[0] if stop.args else signal.SIGINT)
            tell(commands, stopped)
            raise stopped from None
        except Exception as error:
            sentence = sentence_of(error)
            tell(commands, sentence or error)
            if sentence is None:
                raise
            logger.debug("what was behind it", exc_info=error)
            raise sentence from None
        tell(commands, None)
        return result

    def _run_in_the_open_round(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run; where another round opened meanwhile, repeat the live step for it, once."""
        try:
            return self._run(*args, **kwargs)
        except Exception as error:
            moved = sentence_of(error)
            if not isinstance(moved, RoundMoved):
                raise
            logger.warning("%s The live step is repeated for it.", moved)
        live = type(self).create(
            self._project_path,
            env=self.store.get("env"),
            conf_source=self._conf_source,
            runtime_params=self.store.get("runtime_params"),
        )
        assert isinstance(live, WeeklySession)
        with live:
            return live._run(pipeline_names=["submit"])

    def _run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        check_pipelines(kwargs.get("pipeline_names") or [])
        arguments = inspect.signature(KedroSession.run).bind(self, *args, **kwargs).arguments
        runner = arguments.setdefault("runner", None) or SequentialRunner()
        check_runner(runner)
        arguments.pop("self")
        check_versions(arguments.pop("load_versions", None))
        names = arguments.get("pipeline_names") or []
        # The two halves write different entries; any other run may write both kinds.
        parts = names if names in (["prepare"], ["submit"]) else ["prepare", "submit"]
        folder = self._data_folder()
        set_aside_older(Path(folder))
        wait_s = SUBMIT_WAITS_S if parts == ["submit"] else 0.0
        with folder_lock(folder, parts, wait_s=wait_s), skipping(runner, folder), _own_run():
            return super().run(**arguments | {"runner": runner})

    def _get_config_loader(self) -> AbstractConfigLoader:
        """The session's one loader; Kedro makes another for each question."""
        if self._loader is None:
            self._loader = super()._get_config_loader()
        return self._loader

    def _commands(self) -> NotifyParams:
        """Whom to tell: read by itself, because other parameters may be what the run fails by."""
        settings = self._get_config_loader()["parameters"].get("notify", {})
        return read_block(NotifyParams, "notify", settings)

    def _tell(
        self, begin: float, names: list[str], commands: NotifyParams, error: Exception | None
    ) -> None:
        if commands != NotifyParams():
            seconds = time.monotonic() - begin
            notify(commands, Path(self._data_folder()), names, seconds, error)

    def _data_folder(self) -> str:
        config = self._get_config_loader()
        return str(self._project_path / config["globals"]["data_folder"])


@contextmanager
def _own_run() -> Iterator[None]:
    before = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(before)


def check_session() -> None:
    """Refuse a run of Kedro's own session, which neither locks the data folder nor skips anything.

    Raises
    ------
    ConfigurationError
        Says how a script runs a pipeline.
    """
    if not _ours.get():
        raise ConfigurationError(
            "KedroSession.run knows neither the lock of the data folder nor what is up to date; "
            "take numerai_kedro.runtime.session.WeeklySession in its place, as the README shows."
        )


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does: by an exception, so that what is open is closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number))

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_versions(asked: Mapping[str, str] | None) -> None:
    """Refuse versions of entries: what is finished is found by its content.

    Raises
    ------
    ConfigurationError
        Some were asked for.
    """
    if asked:
        raise ConfigurationError(
            "--load-versions: no entry of this project is versioned; an earlier state comes back "
            "with the parameters and data that made it, from the fold store."
        )


def check_pipelines(names: Iterable[str]) -> None:
    """Refuse a name that is no folder of `pipelines/`.

    Raises
    ------
    ConfigurationError
        Names the closest pipelines there are.
    """
    pipelines = sorted(path.parent.name for path in PIPELINES.glob("*/pipeline.py"))
    for name in names:
        if name not in (*pipelines, "__default__"):
            close = difflib.get_close_matches(name, pipelines, n=1) or pipelines
            raise ConfigurationError(
                f'there is no pipeline "{name}"; did you mean {" or ".join(close)}?'
            )


def check_runner(runner: AbstractRunner) -> None:
    """Refuse the runner whose processes would each open a tournament of their own.

    Raises
    ------
    ConfigurationError
        Names the runners that work.
    """
    if isinstance(runner, ParallelRunner):
        raise ConfigurationError(
            "ParallelRunner: nodes share a connection to the tournament, which does not travel to "
            "other processes; leave --runner out, or take ThreadRunner."
        )


@contextmanager
def skipping(runner: AbstractRunner, data_folder: str) -> Iterator[None]:
    """Let a runner leave out, for the length of the block, what is up to date."""
    begin()
    stand_in = functools.partial(incremental_run, runner, Path(data_folder), stop=end_all)
    runner._run = stand_in  # type: ignore[method-assign]
    try:
        yield
    finally:
        del runner._run
