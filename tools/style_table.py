"""Measure the code's style: one row to compare with other projects.

    python tools/style_table.py

Lines of every function body after its docstring (median / 90th percentile / longest), comment lines
per 100 code lines, modules with a test file of the same name, and circles among the imports that
rooms make on import. Tests are left out.
"""

import ast
import io
import statistics
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "numerai_kedro"


def main() -> None:
    """Print the row, and what keeps it from being better."""
    modules = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__init__.py"]
    lengths = sorted(length for path in PACKAGE.rglob("*.py") for length in body_lengths(path))
    comments, code = (sum(pair) for pair in zip(*map(line_counts, modules), strict=True))
    untested = [path for path in modules if not has_test(path)]
    mirrored = 100 * (1 - len(untested) / len(modules))
    ninetieth = lengths[int(0.9 * len(lengths))]
    print("| functions | function length | comments | tests mirror | circles |")
    print("|---|---|---|---|---|")
    print(
        f"| {len(lengths)} | {statistics.median(lengths):.0f} / {ninetieth} / {lengths[-1]} "
        f"| {100 * comments / code:.1f} | {mirrored:.0f} % | {circles() or 'none'} |"
    )
    print("without a test of their name:", *(p.relative_to(PACKAGE) for p in untested))


def body_lengths(path: Path) -> list[int]:
    """Lines of each function's body, its docstring left out."""
    out = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            out.append(body[-1].end_lineno - body[0].lineno + 1 if body else 0)
    return out


def line_counts(path: Path) -> tuple[int, int]:
    """Lines with a comment, and lines with code."""
    comments, code = set(), set()
    skipped = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            comments.add(token.start[0])
        elif token.type not in skipped:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(comments), len(code)


def has_test(path: Path) -> bool:
    """``tests/<room>/test_<module>.py``, or ``tests/pipelines/test_<pipeline>_<module>.py``."""
    place = path.relative_to(PACKAGE)
    names = [place.with_name(f"test_{place.name}")]
    if place.parts[0] == "pipelines":
        names.append(Path("pipelines", f"test_{place.parent.name}_{place.name}"))
    return any((ROOT / "tests" / name).exists() for name in names)


def circles() -> list[list[str]]:
    """Groups of top-level rooms that import each other when they are imported."""
    graph: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        graph.setdefault(room, set()).update(imported_rooms(path) - {room})
    reach = {room: reachable(room, graph) for room in graph}
    groups = {tuple(sorted(o for o in reach[r] if r in reach.get(o, ()))) for r in graph}
    return [list(group) for group in sorted(groups) if len(group) > 1]


def imported_rooms(path: Path) -> set[str]:
    """Rooms named in the imports at the top of a module."""
    rooms = set()
    for node in ast.parse(path.read_text()).body:
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        rooms |= {n.split(".")[1] for n in names if n.startswith("numerai_kedro.")}
    return rooms


def reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    """Rooms that can be reached by imports."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for room in graph.get(waiting.pop(), set()) - seen:
            seen.add(room)
            waiting.append(room)
    return seen


if __name__ == "__main__":
    main()
