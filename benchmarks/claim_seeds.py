"""Shared by claims over seeds: options, a run resumable seed by seed, and intervals."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from scipy import stats

from evidence_weekly import _code_fingerprint
from numerai_kedro.files import atomic_write

LEVEL = 0.95
FIRST_CLAIM_SEED = 1000
ROOT = Path(__file__).parents[1]
PAGE = ROOT / "src" / "numerai_kedro" / "reporting" / "dashboard" / "claims"


class Table(TypedDict):
    """What the dashboard shows of a claim; rows begin with their names."""

    title: str
    heads: Sequence[str]
    rows: list[list[str]]
    said: str


def parser(doc: str, size: str, seeds: Sequence[int], result: Path) -> argparse.ArgumentParser:
    """Options that every claim has."""
    cli = argparse.ArgumentParser(description=doc.splitlines()[0])
    cli.add_argument("--size", default=size)
    cli.add_argument("--seeds", type=int, nargs="+", default=seeds)
    cli.add_argument("--result", type=Path, default=result)
    return cli


def run_seeds(
    options: argparse.Namespace,
    one_seed: Callable[[Path, int], Any],
    conclude: Callable[[dict[str, Any]], dict[str, Any]],
    page: Callable[[dict[str, Any]], Table] | None = None,
) -> dict[str, Any]:
    """Run the seeds that the result does not hold yet; each is kept as it ends.

    Parameters
    ----------
    one_seed
        Gets an empty folder and a seed.
    conclude
        Gets the results of all seeds, by seed as text; its value is stored beside them.
    page
        Makes a table of the result for every user's dashboard; called for claim seeds only.
    """
    previous = json.loads(options.result.read_text()) if options.result.exists() else {"seeds": {}}
    seeds, code = previous["seeds"], previous.get("code", _code_fingerprint())
    for seed in options.seeds:
        if str(seed) in seeds:
            continue
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            seeds[str(seed)] = one_seed(Path(folder), seed)
        conclusion = conclude(seeds)
        result = {"size": options.size, "code": code, **conclusion, "seeds": seeds}
        with atomic_write(options.result) as handle:
            handle.write((json.dumps(result, indent=1) + "\n").encode())
        print(
            f"seed {seed}, {time.perf_counter() - begin:.0f} s: {json.dumps(conclusion)}",
            flush=True,
        )
    if page and seeds and min(map(int, seeds)) >= FIRST_CLAIM_SEED:
        with atomic_write(PAGE / options.result.name) as handle:
            # As on the page: numbers without a 0 before the point.
            table = json.dumps(page(previous | conclude(seeds)), indent=1)
            handle.write((re.sub(r"(?<![\d.])0\.", ".", table) + "\n").encode())
    return dict(seeds)


def interval(values: Sequence[float]) -> str:
    """Mean over seeds with its two-sided t interval; no interval from fewer than three."""
    mean = float(np.mean(values))
    if len(values) < 3:
        return f"{mean:.4f}"
    reach = float(stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1) * stats.sem(values))
    return f"{mean:.4f} [{mean - reach:.4f}, {mean + reach:.4f}]"


def demo_project(folder: Path, size: str, seed: int) -> None:
    """A project of the committed configuration, with a demo's data brought in."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "src").mkdir()
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    kedro(folder, "tournament", "use", "demo", "--size", size, "--seed", str(seed))
    kedro(folder, "run", "--pipeline=ingestion")


def kedro(folder: Path, *arguments: str) -> None:
    """Run kedro in the folder; its output is shown if it fails."""
    command = [str(Path(sys.executable).parent / "kedro"), *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"kedro {' '.join(arguments)} failed:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
