"""Write the table of block reasons into docs/gate.md.

python tools/reasons_table.py
"""

from __future__ import annotations

from pathlib import Path

from numerai_kedro.files import atomic_write
from numerai_kedro.reasons import reasons_table

PAGE = Path(__file__).parents[1] / "docs" / "gate.md"
BEGIN, END = "<!-- reasons -->", "<!-- end of reasons -->"


def main() -> None:
    """Replace the text between the markers."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    with atomic_write(PAGE) as handle:
        handle.write(f"{before}{BEGIN}\n{reasons_table()}\n{END}{after}".encode())


if __name__ == "__main__":
    main()
