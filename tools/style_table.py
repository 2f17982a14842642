"""How long functions are, how many comments and mirrored tests, which imports run in circles.

    python tools/style_table.py

Prints one row a package and one of all; ends with 1 where the whole is beyond what is allowed. Read
with `ast`, tests left out: lines of every function body after its docstring; comment lines per 100
lines of code; modules that have a test file of the same name; functions of more than six
parameters (wide), Kedro nodes and resolvers left out; circles among imports at module level.
"""

from __future__ import annotations

import ast
import io
import statistics
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "numerai_kedro"
ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src" / PACKAGE
Functions = ast.FunctionDef | ast.AsyncFunctionDef
# Kedro nodes take what the catalog has, resolvers what the published schema says.
GIVEN_SIGNATURES = ("pipelines/", "demo/resolvers.py")
MOST_PARAMETERS = 6
MEDIAN, NINE_TENTHS, LONGEST = 6, 25, 60
COMMENTS = (3.0, 7.0)
MIRRORED = 0.8
# Two limits are not reached yet: nothing may get worse. Whoever betters a figure sets it here.
FEWEST_COMMENTS_NOW, LEAST_MIRRORED_NOW, MOST_WIDE_NOW = 2.4, 0.8, 18


@dataclass
class Style:
    """What was counted in some modules."""

    lengths: list[int] = field(default_factory=list)
    n_comments: int = 0
    n_code: int = 0
    n_modules: int = 0
    n_mirrored: int = 0
    too_long: list[str] = field(default_factory=list)
    too_many: list[str] = field(default_factory=list)

    def add(self, path: Path, tests: set[str]) -> None:
        """Count one module."""
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        where = path.relative_to(SOURCES)
        for function in functions_of(tree):
            n_lines = body_lines(function)
            self.lengths.append(n_lines)
            if n_lines > LONGEST:
                self.too_long.append(f"{where}:{function.lineno} {function.name}: {n_lines} lines")
            n_parameters = parameters_of(function)
            if n_parameters > MOST_PARAMETERS and not str(where).startswith(GIVEN_SIGNATURES):
                line = f"{where}:{function.lineno} {function.name}: {n_parameters} parameters"
                self.too_many.append(line)
        comments, code = lines_of(text)
        self.n_comments += comments
        self.n_code += code
        if path.name != "__init__.py":
            self.n_modules += 1
            self.n_mirrored += path.stem in tests

    def row(self) -> list[str]:
        """As it is printed."""
        if not self.lengths:
            return ["-", "-", "-", f"{self.comments:.1f}", f"{self.mirrored:.0%}", "0"]
        return [
            f"{statistics.median(self.lengths):.0f}",
            f"{self.nine_tenths}",
            f"{max(self.lengths)}",
            f"{self.comments:.1f}",
            f"{self.mirrored:.0%}",
            f"{len(self.too_many)}",
        ]

    @property
    def nine_tenths(self) -> int:
        """Lines that nine of ten functions do not exceed."""
        return sorted(self.lengths)[int(0.9 * (len(self.lengths) - 1))]

    @property
    def comments(self) -> float:
        """Comment lines per 100 lines of code."""
        return 100 * self.n_comments / max(1, self.n_code)

    @property
    def mirrored(self) -> float:
        """Share of modules that have a test file of the same name."""
        return self.n_mirrored / max(1, self.n_modules)


def functions_of(tree: ast.AST) -> Iterator[Functions]:
    """Every function and method."""
    return (node for node in ast.walk(tree) if isinstance(node, Functions))


def body_lines(function: Functions) -> int:
    """Lines after the docstring, to the end."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return 0 if not body else (function.end_lineno or 0) - body[0].lineno + 1


def parameters_of(function: Functions) -> int:
    """Parameters that a caller gives: without self and cls."""
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    bound = names[:1] in (["self"], ["cls"])
    return len(names) - bound + len(function.args.kwonlyargs)


def lines_of(text: str) -> tuple[int, int]:
    """Comment lines, and lines of code: neither blank, nor comment, nor docstring."""
    comments = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and not token.string.startswith(("# type:", "# noqa"))
    }
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docstrings |= set(range(node.lineno, (node.end_lineno or 0) + 1))
    lines = enumerate(text.splitlines(), start=1)
    code = [n for n, line in lines if line.strip() and n not in docstrings]
    return len(comments), sum(
        1 for n in code if not text.splitlines()[n - 1].strip().startswith("#")
    )


def imports_of(path: Path, modules: set[str]) -> set[str]:
    """Modules of ours that a module imports when it is imported itself."""
    found: set[str] = set()
    pending: list[ast.AST] = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.If | ast.Try):
            pending += node.body
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= whole & modules or {node.module}
    return found & modules


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups that import each other, directly or by way of others (Tarjan's components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(edges.get(name, ())):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            cut = stack.index(name)
            group = stack[cut:]
            del stack[cut:]
            if len(group) > 1:
                groups.append(sorted(group))

    for name in sorted(edges):
        if name not in index:
            visit(name)
    return groups


def import_graph() -> dict[str, set[str]]:
    """Of every module, the modules of ours that it imports at once."""
    paths = {module_name(path): path for path in SOURCES.rglob("*.py")}
    return {name: imports_of(path, set(paths)) for name, path in paths.items()}


def module_name(path: Path) -> str:
    """Such as ``"numerai_kedro.files.atomic"``."""
    parts = path.relative_to(SOURCES.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _shares_beyond(whole: Style) -> list[str]:
    """What is beyond a limit, or worse than it has been."""
    allowed = {
        f"half of the functions within {MEDIAN} lines": statistics.median(whole.lengths) <= MEDIAN,
        f"nine of ten functions within {NINE_TENTHS} lines": whole.nine_tenths <= NINE_TENTHS,
        f"{FEWEST_COMMENTS_NOW} comment lines per 100": whole.comments >= FEWEST_COMMENTS_NOW,
        f"at most {COMMENTS[1]} comment lines per 100": whole.comments <= COMMENTS[1],
        f"{LEAST_MIRRORED_NOW:.0%} of modules mirrored": whole.mirrored >= LEAST_MIRRORED_NOW,
        f"at most {MOST_WIDE_NOW} wide functions": len(whole.too_many) <= MOST_WIDE_NOW,
    }
    return [f"missed: {limit}" for limit, holds in allowed.items() if not holds]


def _not_reached(whole: Style) -> list[str]:
    """Limits that are still to be reached."""
    lines = []
    if whole.comments < COMMENTS[0]:
        lines.append(f"{whole.comments:.1f} comment lines per 100, wanted {COMMENTS[0]}")
    if whole.mirrored < MIRRORED:
        lines.append(f"{whole.mirrored:.0%} of modules have a test file, wanted {MIRRORED:.0%}")
    if whole.too_many:
        n_wide = len(whole.too_many)
        lines.append(f"{n_wide} functions of more than {MOST_PARAMETERS} parameters, wanted 0")
    return lines


def main() -> int:
    """Print the table; 1 where a limit is exceeded."""
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests").rglob("test_*.py")}
    whole, packages = Style(), dict[str, Style]()
    for path in sorted(SOURCES.rglob("*.py")):
        name = path.relative_to(SOURCES).parts[0].removesuffix(".py")
        package = name if (SOURCES / name).is_dir() else "(top)"
        packages.setdefault(package, Style()).add(path, tests)
        whole.add(path, tests)
    heads = ["package", "median", "90 %", "longest", "comments", "mirrored", "wide"]
    sys.stdout.write("  ".join(f"{head:>10}" for head in heads) + "\n")
    for name, style in [*packages.items(), ("all", whole)]:
        sys.stdout.write("  ".join(f"{cell:>10}" for cell in [name, *style.row()]) + "\n")
    beyond = [*whole.too_long, *_shares_beyond(whole)]
    for group in circles(import_graph()):
        beyond.append(f"circle of imports: {', '.join(group)}")
    sys.stdout.write("".join(f"not yet: {line}\n" for line in _not_reached(whole)))
    sys.stdout.write("".join(f"{line}\n" for line in beyond))
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
