"""How a round pays, read from every score that the tournament lists; nothing is guessed.

    roundScoreConfigs ─► newest version of each name ─► what pays ─┬─► weighed here: CORR, MMC
                                                                   └─► unfamiliar: reported

A score is weighed if its name is known and it looks as far ahead as the paid target; every other
one that pays is unfamiliar, because treating it as a similar one would be a guess. A round's rule
counts as understood if nothing unfamiliar pays, or if both CORR and MMC of the paid horizon are
clear nevertheless. If one of the two is missing while something unfamiliar pays, that may be its
new name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numerai_kedro.metrics.payout import PayoutRule

FIELDS = ("displayName", "name", "version", "defaultMultiplier", "isPayout", "clipThreshold")

# By the tournament's name: which of our two scores it is, and how many business days it looks
# ahead. While rounds paid 20 days, MMC of 20 days was called just `mmc`.
WEIGHED = {
    "corr60": ("corr", 60),
    "correlation_60": ("corr", 60),
    "mmc60": ("mmc", 60),
    "mmc_60": ("mmc", 60),
    "corr20": ("corr", 20),
    "v2_corr20": ("corr", 20),
    "mmc": ("mmc", 20),
    "mmc20": ("mmc", 20),
    "canon_corr": ("corr", 20),
    "canon_corr20": ("corr", 20),
    "canon_v2_corr20": ("corr", 20),
    "canon_mmc": ("mmc", 20),
    "canon_mmc20": ("mmc", 20),
}


@dataclass(frozen=True)
class PaidScore:
    """A score that a round pays.

    Parameters
    ----------
    name
        As the tournament calls it; empty if it gives none.
    multiplier, clip
        NaN if they are not numbers above zero.
    """

    name: str
    multiplier: float
    clip: float

    @property
    def is_clear(self) -> bool:
        """Whether both numbers could be read."""
        return not math.isnan(self.multiplier + self.clip)

    def why_unfamiliar(self, days: int) -> str:
        """Half a sentence on what it is; scores of `days` are weighed."""
        name = self.name or "a score without a name"
        if not self.is_clear:
            return f"{name} pays, with a multiplier or clip that cannot be read"
        _, horizon = WEIGHED.get(self.name, ("", 0))
        detail = f"of {horizon} days, not {days}" if horizon else "no score that is weighed here"
        return f"{name} pays {self.multiplier:g}: {detail}"


@dataclass(frozen=True)
class RoundRule:
    """What is understood of a round's payout.

    Parameters
    ----------
    rule
        None if the round has set no multipliers, or it is not clear what it pays.
    unfamiliar
        One text for each score that pays but is not weighed.
    """

    rule: PayoutRule | None
    unfamiliar: tuple[str, ...]


def stable_configs(raw: Any) -> list[Any]:
    """Entries of ``roundScoreConfigs`` in a fixed order, only the fields we read; no nulls."""
    entries = raw if isinstance(raw, list) else [raw]
    configs = [
        {field: entry.get(field) for field in FIELDS} if isinstance(entry, Mapping) else entry
        for entry in entries
        if entry is not None
    ]
    return sorted(configs, key=lambda entry: json.dumps(entry, sort_keys=True))


def scores_that_pay(configs: Sequence[Any]) -> list[PaidScore]:
    """Scores that pay: ``isPayout`` is not false, and there is a multiplier other than zero.

    Only the newest version of a name counts. An entry that is not an object becomes a score without
    a name, so that it is not overlooked.
    """
    scores = [_paid(config) for config in _newest(configs)]
    return list(dict.fromkeys(score for score in scores if score is not None))


def read_factor(raw: Any) -> float | None:
    """The round's payout factor; 1 if it is not given, None if it is not a number above zero."""
    factor = 1.0 if raw is None else _number(raw)
    return None if math.isnan(factor) or factor == 0 else factor


def read_rule(configs: Sequence[Any], factor: float | None, days: int) -> RoundRule:
    """Read how a round pays scores that look `days` business days ahead.

    Parameters
    ----------
    configs
        As `stable_configs` makes them.
    factor
        As `read_factor` reads it.

    Returns
    -------
    RoundRule
        CORR or MMC has weight 0 if the other pays alone. Clip is the lowest of those weighed.
    """
    weighed: dict[str, list[PaidScore]] = {"corr": [], "mmc": []}
    unfamiliar = []
    for score in scores_that_pay(configs):
        part, horizon = WEIGHED.get(score.name, ("", 0))
        if horizon == days and score.is_clear:
            weighed[part].append(score)
        else:
            unfamiliar.append(score.why_unfamiliar(days))
    for part, scores in weighed.items():
        if len(scores) > 1:  # to pick one of them would be a guess
            names = " and ".join(paid.name for paid in scores)
            unfamiliar.append(f"{names} both pay as {part.upper()} of {days} days")
            scores.clear()
    clear = [part for part, scores in weighed.items() if scores]
    if clear and factor is None:
        unfamiliar.append("the payout factor is no number above zero")
    if not clear or factor is None or (unfamiliar and len(clear) < len(weighed)):
        return RoundRule(None, tuple(unfamiliar))
    multipliers = {
        part: scores[0].multiplier if scores else 0.0 for part, scores in weighed.items()
    }
    clip = min(paid.clip for scores in weighed.values() for paid in scores)
    return RoundRule(PayoutRule(**multipliers, clip=clip, factor=factor), tuple(unfamiliar))


def _newest(configs: Sequence[Any]) -> list[Any]:
    """Entries of the newest version of their name, and all that have no name."""
    newest: dict[str, str] = {}
    for config in configs:
        name, version = _name(config), _version(config)
        newest[name] = max(newest.get(name, version), version, key=version_order)
    return [
        entry for entry in configs if not _name(entry) or _version(entry) == newest[_name(entry)]
    ]


def _paid(config: Any) -> PaidScore | None:
    if not isinstance(config, Mapping):
        return PaidScore("", math.nan, math.nan)
    raw, clip = config.get("defaultMultiplier"), config.get("clipThreshold")
    multiplier = 0.0 if raw is None else _number(raw)
    if multiplier == 0 or str(config.get("isPayout")).lower() == "false":
        return None
    return PaidScore(_name(config), multiplier, 1.0 if clip is None else _number(clip) or math.nan)


def _name(config: Any) -> str:
    """The display name, under which scores are listed; without one, the name."""
    fields = config if isinstance(config, Mapping) else {}
    candidates = (fields.get("displayName"), fields.get("name"))
    return next(
        (candidate for candidate in candidates if isinstance(candidate, str) and candidate), ""
    )


def _version(config: Any) -> str:
    version = config.get("version") if isinstance(config, Mapping) else None
    return "" if version is None else str(version)


def _number(value: Any) -> float:
    """The value as a number; NaN if it is not finite, or below zero."""
    if isinstance(value, bool):
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) and number >= 0 else math.nan


def version_order(version: str) -> tuple[list[int], str]:
    """Key that sorts versions of a score, oldest first: ``""`` (none said), "1", "2", "10"."""
    return [int(digits) for digits in re.findall(r"\d+", version)], version
