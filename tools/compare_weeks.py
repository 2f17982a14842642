"""Run the weekly pipeline of two commits on this machine and list where their results differ.

    python tools/compare_weeks.py BASE [--size tiny] [--rounds 1]

For changes that must not change behaviour, such as a renaming. BASE is a commit; the other side is
the checkout as it stands, uncommitted edits included. Both run in a project of their own on the
same demo tournament. Predictions, weights and every other table must be equal bit by bit; verdicts,
receipts and other JSON must be equal apart from times, durations and identifiers, after the words
in ``RENAMED`` have been replaced in what BASE wrote. Ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
# Words in BASE's paths, columns, keys and texts that the checkout has renamed, by file name.
RENAMED: dict[str, dict[str, str]] = {
    "*": {
        "selected_on_judged": "selected_on_test_eras",
        "choice saw and serves": "choice saw and where it is used",
        "judged": "test",
        "stretches": "periods",
        "tuning_predictions": "validation_predictions",
        "tuning stretch": "validation period",
        "not told apart": "not distinguishable",
        "live_told_apart": "live_adversarial_auc",
        "live_correlations_moved": "live_correlation_shift",
        "mend": "remedy",
        "wait for mended": "wait for corrected",
        "learned by heart": "overfitted",
    },
    "folds.json": {"tuning": "validation"},
    "*weights.parquet": {"in_force": "chosen"},
    "*-demo.json": {"judged": "predictions_digest"},
}
# Caches, whose names are digests of code, and what depends on the time of day or on file names.
NOT_COMPARED = (
    *("fold_store", "study_store", "era_tables", "block_gram", "binned", "result_store"),
    *("champion_store", "procedure_store", "version_store", "live_id_store"),
    *("dashboard.html", "run_summary.json", "run_history.parquet", "version_history.parquet"),
    *("version.json", "source.json", "readings.json", "run_schedule.json", "manifest.json"),
    *(".copy", ".pkl", ".lock", ".partial", "history_panel", "live_panel", "latent_panel"),
)
# Keys and columns of durations, memory and identifiers.
VARYING = re.compile(r"second|memory|digest|seal|_at$|_id$|filename|made_by|procedure|^id$|code")
IDENTIFIER = re.compile(r"\b[0-9a-f]{12,}\b|\b[0-9a-f]{4}…|\b[0-9a-f-]{36}\b")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|\+\d\d:\d\d)?")
DURATION = re.compile(r"\b\d+(\.\d+)? (s|min|h|MB|GB)\b")


def main() -> None:
    """Compare BASE with the checkout; exit code 1 where they differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("base", help="a commit")
    parser.add_argument("--size", default="tiny", help="of the demo tournament")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--rounds", type=int, default=1, help="rounds to run one after another")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder, "base")
        git("worktree", "add", "--detach", str(base), options.base)
        try:
            before = run_weeks(base, Path(folder, "before"), options)
        finally:
            git("worktree", "remove", "--force", str(base))
        after = run_weeks(ROOT, Path(folder, "after"), options)
        differences = list(compare_folders(before, after, RENAMED))
    for difference in differences:
        print(difference)
    print(f"{len(differences) or 'no'} differences from {options.base}, size {options.size}")
    sys.exit(bool(differences))


def git(*arguments: str) -> None:
    """Run git in the checkout."""
    ended = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"git {' '.join(arguments)}: {ended.stderr.strip()}")


def run_weeks(source: Path, project: Path, options: argparse.Namespace) -> Path:
    """Run the weekly pipeline with the code and configuration of a tree; its data folder."""
    (project / "src").mkdir(parents=True)
    shutil.copy(source / "pyproject.toml", project)
    shutil.copytree(source / "conf", project / "conf", ignore=shutil.ignore_patterns("local"))
    (project / "conf" / "local").mkdir()
    environment = os.environ | {"PYTHONPATH": str(source / "src")}
    weekly = ["run", "--pipeline=weekly"]
    use = ["tournament", "use", "demo", "--size", options.size, "--seed", options.seed]
    advance = ["tournament", "advance"]
    for command in (use, weekly, *[advance, weekly] * (options.rounds - 1)):
        print(f"{source.name}: kedro {' '.join(command)}", flush=True)
        ended = subprocess.run(
            [sys.executable, "-m", "kedro", *command],
            cwd=project,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if ended.returncode not in (0, 1):  # 1: the gate has blocked the submission
            sys.exit(f"{ended.stdout[-3000:]}\nkedro {' '.join(command)} failed in {source}")
    (data,) = (project / "data").glob(f"*{options.size}*")
    return data


def compare_folders(before: Path, after: Path, renamed: dict[str, dict[str, str]]) -> Iterator[str]:
    """One sentence for each file that is missing, new or different.

    Parameters
    ----------
    before, after : Path
        Data folders of the two sides.
    renamed : dict
        Words of the one side and what the other calls them, by pattern of file names.
    """
    old = {rename(name, renamed.get("*", {})): path for name, path in results(before).items()}
    new = results(after)
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"{name}: missing"
        elif name not in old:
            yield f"{name}: new"
        else:
            of_file = [words for file, words in renamed.items() if fnmatch(Path(name).name, file)]
            words = {word: by for each in of_file for word, by in each.items()}
            yield from (f"{name}: {text}" for text in compare(old[name], new[name], words))


def results(folder: Path) -> dict[str, Path]:
    """Files to compare by their names below the folder, digests in the names left out."""
    paths = [path for path in sorted(folder.glob("0*_*/**/*")) if path.is_file()]
    names = [str(path.relative_to(folder)) for path in paths]
    return {
        IDENTIFIER.sub("#", name): path
        for name, path in zip(names, paths, strict=True)
        if not any(part in name for part in NOT_COMPARED)
    }


def rename(text: str, renamed: dict[str, str]) -> str:
    """Replace whole words."""
    for word, by in renamed.items():
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", by, text)
    return text


def compare(before: Path, after: Path, renamed: dict[str, str]) -> Iterator[str]:
    """The difference between two files of one name."""
    if after.suffix == ".parquet":
        yield from compare_tables(pd.read_parquet(before), pd.read_parquet(after), renamed)
    elif after.suffix == ".json":
        old, new = (json.loads(path.read_text()) for path in (before, after))
        yield from compare_json(comparable(old, renamed), comparable(new, {}))
    elif before.read_bytes() != after.read_bytes():
        yield "other bytes"


def compare_tables(
    before: pd.DataFrame, after: pd.DataFrame, renamed: dict[str, str]
) -> Iterator[str]:
    """Columns, the index among them, that differ in type or in any bit; NaN equals NaN."""
    before, after = before.reset_index(), after.reset_index()
    before.columns = pd.Index([rename(str(column), renamed) for column in before.columns])
    for column in sorted({*before.columns, *after.columns}):
        if VARYING.search(column):
            continue
        if column not in before.columns or column not in after.columns:
            yield f"column {column} is on one side only"
            continue
        old, new = comparable_column(before[column], renamed), comparable_column(after[column], {})
        if old.dtype != new.dtype or len(old) != len(new):
            yield f"column {column}: {len(old)} of {old.dtype} became {len(new)} of {new.dtype}"
        elif differ := int(((old != new) & ~((old != old) & (new != new))).sum()):
            yield f"column {column} differs in {differ} of {len(new)} rows"


def comparable_column(column: pd.Series, renamed: dict[str, str]) -> np.ndarray:
    """Texts without the parts that vary; all else unchanged."""
    if not isinstance(column.dtype, np.dtype) or column.dtype == object:
        return np.array([str(comparable(each, renamed)) for each in column], object)
    return column.to_numpy()


def comparable(value: Any, renamed: dict[str, str]) -> Any:
    """JSON without durations, times and identifiers, in the new words."""
    if isinstance(value, dict):
        pairs = {comparable(key, renamed): comparable(each, renamed) for key, each in value.items()}
        return {key: each for key, each in pairs.items() if not VARYING.search(key)}
    if isinstance(value, list):
        return [comparable(each, renamed) for each in value]
    if isinstance(value, str):
        for pattern in (TIME, IDENTIFIER, DURATION):
            value = pattern.sub("#", value)
        return rename(value, renamed)
    return value


def compare_json(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Places at which two values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            if key in before and key in after:
                yield from compare_json(before[key], after[key], f"{place}/{key}")
            else:
                yield f"{place}/{key} is on one side only"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, pair in enumerate(zip(before, after, strict=True)):
            yield from compare_json(*pair, f"{place}/{number}")
    elif before != after and not (before != before and after != after):
        yield f"{place}: {str(before)[:80]!r} became {str(after)[:80]!r}"


if __name__ == "__main__":
    main()
