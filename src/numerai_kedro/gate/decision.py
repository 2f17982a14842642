"""A check of the gate (value, threshold, distance), and the decision from all checks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from numerai_kedro.metrics.intervals import short
from numerai_kedro.reasons import BlockReason


@dataclass(frozen=True)
class Check:
    """One value and its threshold.

    Parameters
    ----------
    reason
        Why the gate blocks or warns if the check fails.
    label
        What is measured, in the field's words.
    value, threshold
        In the same unit.
    side
        ``"at least"``, ``"at most"`` or ``"above"`` the threshold.
    """

    reason: BlockReason
    label: str
    value: float
    side: Literal["at least", "at most", "above"]
    threshold: float

    @property
    def passed(self) -> bool:
        """NaN passes nothing: what could not be computed is not good enough."""
        if self.side == "at most":
            return self.value <= self.threshold
        return self.value > self.threshold if self.side == "above" else self.value >= self.threshold

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The check that `as_json` turned into a row."""
        reason = BlockReason[row["reason"].upper()]
        value, threshold = (
            math.nan if number is None else number for number in (row["value"], row["threshold"])
        )
        return cls(reason, row["label"], value, row["side"], threshold)

    @property
    def missed_by(self) -> float:
        """Distance to the threshold if the check failed, else 0."""
        return 0.0 if self.passed else abs(self.value - self.threshold)

    def __str__(self) -> str:
        """One sentence with value, threshold and distance."""
        verdict = "passed" if self.passed else f"missed by {short(self.missed_by)}"
        limit = f"{self.side} {short(self.threshold)}"
        return f"{self.label} is {short(self.value)}, wanted {limit}: {verdict}"

    def as_json(self) -> dict[str, Any]:
        """A row of the gate's table."""
        return {
            "reason": self.reason.name.lower(),
            "kind": self.reason.kind,
            "label": self.label,
            "value": self.value,
            "side": self.side,
            "threshold": self.threshold,
            "passed": self.passed,
            "missed_by": self.missed_by,
            "why": "" if self.passed else str(self.reason),
            "remedy": self.reason.remedy,
        }


@dataclass(frozen=True)
class GateDecision:
    """Whether predictions may be submitted, by all checks."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed but warnings; without any check, nothing passes."""
        return bool(self.checks) and not self.failures

    @property
    def failures(self) -> Sequence[Check]:
        """The failed checks that block, in the order of the table."""
        return [check for check in self._missed if check.reason.kind != "warning"]

    @property
    def warnings(self) -> Sequence[Check]:
        """The failed checks that change nothing."""
        return [check for check in self._missed if check.reason.kind == "warning"]

    def leaves_champion(self, same_configuration: bool) -> bool:
        """Whether a champion may predict in place of what was checked.

        Not if live data or a rule of submission failed, because it would meet the same; if a check
        of the record failed, only a champion of another configuration may.
        """
        kinds = {failure.reason.kind for failure in self.failures}
        if not kinds or kinds & {"data", "rule"}:
            return False
        return not (same_configuration and "record" in kinds)

    @property
    def _missed(self) -> Sequence[Check]:
        return [check for check in self.checks if not check.passed]

    def as_json(self) -> dict[str, Any]:
        """The decision as it is stored."""
        return {
            "passed": self.passed,
            "reasons": [str(check) for check in self.failures],
            "warnings": [f"{check.reason}: {check}" for check in self.warnings],
            "checks": [check.as_json() for check in self.checks],
        }
