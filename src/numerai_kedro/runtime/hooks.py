"""What happens around a run: names are checked before it, MLflow and the summary come after."""

from __future__ import annotations

import difflib
import logging
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from numerai_kedro.errors import ConfigurationError, RoundMoved, SubmissionError
from numerai_kedro.files.trusted_pickle import trust
from numerai_kedro.models.registry import ENCODER, model_names, register_own_models
from numerai_kedro.own_code import note_sources
from numerai_kedro.runtime.own_model_blocks import (
    OWN_TRANSFORMS,
    is_own_model,
    make_importable,
)
from numerai_kedro.runtime.session import check_session
from numerai_kedro.strict import WHERE, read_block

logger = logging.getLogger(__name__)

# A name at the top of a file of parameters.
BLOCK = re.compile(r"^([A-Za-z_]\w*):", re.MULTILINE)
# Namespaces that the factory patterns of the catalog may stand for, beside the models.
BLENDS = ("ensemble",)


class SessionHooks:
    """No run without the lock of the data folder."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self) -> None:
        """Refuse a run of another session than the project's."""
        check_session()


class CatalogHooks:
    """No mistyped data-set name becomes a memory data set in silence."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: Any) -> None:
        """Refuse a run that would read or write an entry that the catalog does not have."""
        for name in sorted(pipeline.datasets()):
            if not name.startswith(("params:", "parameters")):
                check_entry(name, catalog)


def check_entry(name: str, catalog: Any) -> None:
    """Refuse an entry that is in no catalog file.

    Raises
    ------
    ConfigurationError
        Names the entry, and the closest ones there are.
    """
    entries = [entry for entry in catalog.config_resolver.config if "{" not in entry]
    pattern = catalog.config_resolver.match_dataset_pattern(name)
    namespace = name.partition(".")[0]
    if name in entries or (pattern and namespace in (*model_names(), ENCODER, *BLENDS)):
        return
    close = difflib.get_close_matches(name, entries, n=2)
    hint = f"did you mean {' or '.join(close)}?" if close else "add it to conf/base/catalog_*.yml."
    raise ConfigurationError(
        f'the catalog has no entry "{name}": its value would be lost when the run ends; {hint}'
    )


class ParameterHooks:
    """No mistyped block of parameters is left unread in silence."""

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Refuse a block that no file of the base configuration has; make own models known.

        Before anything reads `context.params`, which imports the pipelines.
        """
        texts = context.config_loader.texts("base", "parameters*.yml")
        base = {name for text in texts for name in BLOCK.findall(text)}
        parameters = context.config_loader["parameters"]
        own = {name for name, block in parameters.items() if is_own_model(block)}
        check_blocks(parameters.keys() - own - {OWN_TRANSFORMS}, texts)
        make_importable(Path(context.project_path))
        register_own_models(parameters, tuple(sorted(base)))
        note_sources(parameters[OWN_TRANSFORMS])
        for path in parameters[OWN_TRANSFORMS]:
            trust(path.rpartition(".")[0])


def check_blocks(given: Iterable[str], texts: Iterable[str]) -> None:
    """Refuse names that stand at the top of no text of a file.

    Raises
    ------
    ConfigurationError
        Names the block, and the closest one there is.
    """
    blocks = {name for text in texts for name in BLOCK.findall(text)}
    for name in given:
        if name not in blocks:
            close = difflib.get_close_matches(name, blocks, n=1) or sorted(blocks)
            raise ConfigurationError(
                f"parameters: {name}: nothing reads it; did you mean {' or '.join(close)}? {WHERE}"
            )


class TrackingHooks:
    """Every run in MLflow, after it ended; a server that is away loses no run."""

    def __init__(self) -> None:
        self._began = 0.0
        self._parameters: dict[str, Any] = {}
        self._tracking: Any = None

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Keep the parameters of the run; wrong ones are said before it, not after."""
        from numerai_kedro.reporting.tracking import TrackingParams

        self._parameters = context.params
        self._tracking = read_block(TrackingParams, "tracking", context.params.get("tracking", {}))

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Start the clock."""
        self._began = time.time()

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any
    ) -> None:
        """Send the run as it ended."""
        self._track(run_params, pipeline, catalog, error=None)

    @hook_impl
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any
    ) -> None:
        """Send the run that failed, too, with the sentence of its error."""
        self._track(run_params, pipeline, catalog, error=error)

    def _track(
        self,
        run_params: dict[str, Any],
        pipeline: Pipeline,
        catalog: Any,
        error: Exception | None,
    ) -> None:
        from numerai_kedro.reporting.tracking import track_run

        params = self._tracking
        if params.enabled:
            track_run(params, run_params, self._parameters, pipeline, catalog, self._began, error)


class SummaryHooks:
    """The lines that end a run."""

    def __init__(self) -> None:
        self._began = 0.0
        self._tracking_uri: str | None = None

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Know where the run will be found again."""
        tracking = context.params.get("tracking", {})
        self._tracking_uri = tracking.get("uri") if tracking.get("enabled", True) else None

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Start the clock."""
        self._began = time.time()

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: Any) -> None:
        """Print the summary, where the run made one."""
        if "run_summary" not in pipeline.all_outputs():
            return
        from numerai_kedro.reporting.dashboard.summary import print_summary

        summary = catalog.load("run_summary")
        print_summary(summary, catalog, time.time() - self._began, self._tracking_uri)


# What a receipt says where a submission was not made that should have been.
NOT_SENT = ("closed", "refused", "blocked", "failed", "moved")


class ReceiptHooks:
    """A submission that should have been made and was not is no success."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: Any) -> None:
        """End with the sentence of every slot that was not submitted."""
        if "submission_receipt" not in pipeline.all_outputs():
            return
        number, receipts = catalog.load("round_info")["number"], catalog.load("submission_receipt")
        current = [receipts.get(f"{number}-{slot}", {}) for slot in catalog.load("slots")]
        # What an earlier round's submission has come to is said by the run that learns it.
        check_receipts(
            [*current, *(receipt for receipt in receipts.values() if "found_invalid" in receipt)]
        )


def check_receipts(current: Iterable[dict[str, Any]]) -> None:
    """Refuse to call a run a success that left a slot without its submission.

    Raises
    ------
    RoundMoved
        Another round has opened meanwhile.
    SubmissionError
        The sentences of what was blocked, refused, failed or came too late.
    """
    # A round that closed after it took the submission is no failure; what came later and was
    # refused or blocked is.
    newest = [
        one["later"] if one.get("later", {}).get("status") in set(NOT_SENT) - {"closed"} else one
        for one in current
    ]
    for receipt in newest:
        if receipt.get("status") == "moved":
            raise RoundMoved(receipt["detail"])
        if receipt.get("status") == "unconfirmed":
            logger.warning("submission, %s: %s", receipt["slot"], receipt["detail"])
    details = {  # the same sentence for every slot is said once
        receipt["detail"]: None for receipt in newest if receipt.get("status") in NOT_SENT
    }
    if details:
        raise SubmissionError(" ".join(details))
