"""Write docs/faults.md from the rows that `tests/test_fault_table.py` saved.

make faults        plays every fault of the table, then writes it
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "faults.md"
HEAD = """# Faults: what goes wrong, what is said, and what it takes

Written by `make faults`, which plays each of them with the real client against a local server in
the place of the tournament. The command is typed again until it ends well. No run ended in a
traceback, no key was found in what a run said or left behind, and the tournament never held a
submission twice. In {compared} of {n} faults the artifacts were compared with those of a run that
nothing disturbed, and were equal bit by bit; in the others the round was over, another one, or only
data was brought in. A fault that ended otherwise would have no row, and no table would be written.

CI plays a sample, drawn anew each time. Beside the table, faults are drawn at random
(`tests/test_drawn_faults.py`: submissions changed on their way, downloads, answers and uploads that
go wrong, damaged files, poisoned pickles), runs are killed wherever a file is written
(`tests/test_drill.py`), and files of every kind are halved, emptied, flipped, deleted or replaced
by a pickle (`tests/test_damage.py`): 300 in CI, 1,500 by `make drill`, 10,000 by `make
drill-night`. Servers that stay silent or send a byte a second are in
`tests/numerai/test_transport.py` and `tests/files/test_bounded_session.py`, with shorter
deadlines.

| what goes wrong | command | tries | what is said | state after the first try | in the end |
|---|---|---|---|---|---|
"""


def main() -> None:
    """Write the table; refuses where a fault has no row.

    The first argument is the folder of rows.
    """
    sys.path.insert(0, str(ROOT))
    from tests.fault_table import CASES, INGEST

    rows = []
    for number, case in enumerate(CASES):
        path = Path(sys.argv[1]) / f"{number}.json"
        if not path.exists():
            sys.exit(f'"{case.name}" has no row: it was skipped, or did not end as it should.')
        rows.append(json.loads(path.read_text()))
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows]
    compared = sum(
        not (case.end or case.apart) and INGEST not in (case.command, case.then) for case in CASES
    )
    head = HEAD.format(n=len(rows), compared=compared)
    DOCUMENT.write_text(head + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
