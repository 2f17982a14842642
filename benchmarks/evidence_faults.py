"""Claim: every fault of the list is repaired or ends as an outcome, and the week goes on.

    make evidence NAME=faults        resumable; docs/evidence/faults.json and docs/network-faults.md

The `tiny` demo, development seed 0. Every kind of fault at the first, a middle and the last step of
a fit, in evaluation and in loading, for every network, by `kedro drill`'s own code: what was done,
and how the predictions of the fold compare with those of the undisturbed fit.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from claim_seeds import demo_project
from evidence_weekly import _code_fingerprint
from numerai_kedro.cli.drill import Setting, drill, setting_of, undisturbed
from numerai_kedro.compute.fault_injection import IMPOSSIBLE, KINDS, MOMENTS, PLACES
from numerai_kedro.files import atomic_write
from numerai_kedro.models.registry import NETWORKS

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "evidence" / "faults.json"
TABLE = ROOT / "docs" / "network-faults.md"
CASES = [
    (inject, at, times)
    for inject in KINDS
    for at in (*MOMENTS, *PLACES)
    for times in (1,)
    if (inject, at) not in IMPOSSIBLE
] + [("nan", "middle", 3), ("nan", "middle", 10_000), ("oom", "middle", 5), ("oom", "first", 99)]


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    options = parser.parse_args()
    previous = json.loads(RESULT.read_text()) if RESULT.exists() else {"cases": {}}
    cases: dict[str, Any] = previous["cases"]
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(Path(folder), options.networks)
        for network, setting in settings.items():
            calm = undisturbed(setting)
            for inject, at, times in CASES:
                key = f"{network} {inject} {at} {times}"
                if key in cases:
                    continue
                cases[key] = dataclasses.asdict(drill(setting, calm, inject, at, times))
                result = {"code": previous.get("code", _code_fingerprint()), "cases": cases}
                with atomic_write(RESULT) as handle:
                    handle.write((json.dumps(result, indent=1) + "\n").encode())
                print(row(key, cases[key]), flush=True)
    with atomic_write(TABLE) as handle:
        handle.write(page(cases).encode())


def settings_of(folder: Path, networks: list[str]) -> dict[str, Setting]:
    """A tiny demo with its data brought in."""
    demo_project(folder, "tiny", 0)
    return {name: setting_of(folder, name) for name in networks}


def page(cases: dict[str, Any]) -> str:
    """The table as a page."""
    head = (
        "# What was broken on purpose, and what came of it\n\n"
        "Made by `make evidence NAME=faults`: one fold of each network on the `tiny` demo, in a "
        "process of its own, with `kedro drill`'s faults. The last column compares the fold's "
        "predictions with those of the undisturbed fit. Rows held in other parts draw other "
        "dropout, and a batch that is skipped is missing: so those correlate, less the earlier "
        "it was. A world of so few rows is overfitted without any fault, too.\n\n"
        "| network | fault | at | times | seen: done | end |\n|---|---|---|---|---|---|\n"
    )
    return head + "".join(f"{row(key, case)}\n" for key, case in cases.items())


def row(key: str, one: dict[str, Any]) -> str:
    """One case."""
    network, inject, at, times = key.split()
    lines = [f"{line['symptom']}: {line['remedy']}" for line in one["lines"]]
    remedies = "; ".join(dict.fromkeys(lines)) or "nothing"
    if one["failed"]:
        end = "an outcome, no model"
    elif one["same"]:
        end = "equal bit by bit"
    else:
        end = f"correlates {one['correlation']:.4f}"
    return f"| {network} | {inject} | {at} | {times} | {remedies.replace('|', '/')} | {end} |"


if __name__ == "__main__":
    main()
