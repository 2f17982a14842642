"""Which entry feeds which slot, for every pipeline that judges or submits."""

from __future__ import annotations

import difflib
import logging

from kedro.pipeline import Node

from numerai_kedro.cache.provenance import ENSEMBLE
from numerai_kedro.errors import ConfigurationError
from numerai_kedro.models.registry import model_names
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.submission import UNNAMED_SLOT
from numerai_kedro.runtime.parameters import SubmissionParams

logger = logging.getLogger(__name__)


def slots_node() -> Node:
    """The node that names slots; in a sum of pipelines it counts once."""
    return Node(
        name_slots,
        ["tournament", "params:submission"],
        "slots",
        name="name_slots",
        tags=["always"],
    )


def name_slots(tournament: Client, params: SubmissionParams) -> dict[str, str]:
    """Name the entry that feeds each slot.

    On the real tournament no slot is guessed: without slots in the parameters the csv is written
    for a slot called "unnamed". The demo ignores slots of models that it does not have; if that
    leaves none, the ensemble feeds its first model. Only the connection decides which of the two.

    Raises
    ------
    ConfigurationError
        A slot names an entry that cannot feed it; the message names the closest one.
    """
    for entry in params.feeds.values():
        check_feed(entry)
    if tournament.name != "demo":
        return params.feeds or {UNNAMED_SLOT: ENSEMBLE}
    models = tournament.models()
    ours = {slot: entry for slot, entry in params.feeds.items() if slot in models}
    for slot in sorted(params.feeds.keys() - ours.keys()):
        logger.warning(
            'submission.slots: "%s" is ignored, the demo has no such model; it has: %s',
            slot,
            ", ".join(sorted(models)),
        )
    return ours or {next(iter(models)): ENSEMBLE}


def check_feed(entry: str) -> None:
    """Refuse an entry that cannot feed a slot.

    Raises
    ------
    ConfigurationError
        Names the closest entry.
    """
    candidates = (ENSEMBLE, *model_names())
    if entry in candidates:
        return
    close = difflib.get_close_matches(entry, candidates, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(candidates)}."
    raise ConfigurationError(
        f'submission.slots: "{entry}" cannot feed a slot; {hint} (parameters_submission.yml)'
    )
