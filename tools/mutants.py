"""Change one place of the code at a time, and see whether a quick test notices.

    python tools/mutants.py --seed 1 --count 300      (make mutants SEED=1 COUNT=300)

Places are drawn by seed from the core packages; annotations, docstrings and log calls are left
alone. One change is drawn for each place. It is made in a temporary copy of the checkout, where
the test files run that reach the place: the file named like the module, others of its folder, and
the quickest others.
A failed test, an import that breaks and a run beyond its time all count as noticed.

Everything is below ``.mutants``. ``map.json`` says which test file reaches which line: all files
are measured at the first run (ten minutes), later those that changed. ``results.jsonl`` gets a line
for each mutant, so that a killed run goes on where it was. ``summary-SEED.txt`` lists the
survivors. With ``--again`` the survivors are tried once more, with the tests as they are now.

The changes are cosmic-ray's, and `RemoveStatement`, `ReturnNone` and `DefaultText`. Its runner is
not used, for it has one test command for all mutants and changes files in place. mutmut puts all
mutants of a function beside it, but this package takes digests of its own source code.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import coverage
import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.operators.provider import OperatorProvider
from scipy.stats import binomtest

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / ".mutants"
SOURCES = "src/numerai_kedro"
CORE = (
    *("cache", "compute", "data", "ensemble", "features", "files"),
    *("gate", "metrics", "models", "numerai", "training"),
)
PYTEST = ("-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "-m", "not slow")
# Seconds of tests besides the mirrored file; a survivor costs all of them.
OTHER_TESTS = 120.0
# A run may take so much longer than was measured, and so many seconds more.
SLOWER, MORE_SECONDS = 3.0, 60.0
TOO_LONG = -1
# By pytest's exit code; 5 where nothing was collected.
OUTCOMES = {TOO_LONG: "hung", 0: "survived", 5: "survived"}
# Within a family an operator still works on the same operands; others mostly end in a TypeError.
FAMILIES = (
    {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"},
    {"BitOr", "BitAnd", "BitXor"},
    {"RShift", "LShift"},
    {"Eq", "NotEq", "Lt", "LtE", "Gt", "GtE"},
    {"Is", "IsNot"},
    {"UAdd", "USub"},
)
FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
LOG_CALL = re.compile(r"\s*(self\._?)?(logger|log)\.")


class RemoveStatement(Operator):  # type: ignore[misc]
    """A call, an augmented assignment or an assignment to a part of something becomes pass."""

    PARTS = re.compile(r"[\w.]+(\[.*\]|\.\w+)\s*=[^=]", re.DOTALL)

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """The statement."""
        if node.type == "simple_stmt" and self._acts(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def _acts(self, statement: Any) -> bool:
        if statement.type == "expr_stmt":
            augmented = statement.children[1].type == "operator"
            augmented = augmented and statement.children[1].value not in ("=", ":")
            return augmented or self.PARTS.match(statement.get_code(False)) is not None
        return statement.type in ("atom_expr", "raise_stmt")

    def mutate(self, node: Any, index: int) -> Any:
        """Put pass in its place."""
        node.children[0] = parsed(node.children[0].get_first_leaf().prefix + "pass")
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        """None are needed."""
        return ()


class ReturnNone(RemoveStatement):
    """A returned value becomes None."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """The value."""
        if node.type == "return_stmt" and node.children[1].get_code().strip() != "None":
            yield node.children[1].start_pos, node.children[1].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """Put None in its place."""
        node.children[1] = parsed(" None")
        return node


class DefaultText(RemoveStatement):
    """A parameter's default text becomes another."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """The text."""
        if node.type == "param" and node.default is not None and node.default.type == "string":
            yield node.default.start_pos, node.default.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """Put another text in its place."""
        place = node.children.index(node.default)
        node.children[place] = parsed(' "another"')
        return node


def parsed(code: str) -> Any:
    """A new part of the tree."""
    return parso.parse(code)  # type: ignore[no-untyped-call]


@cache
def operators() -> dict[str, Operator]:
    """All changes by name, without those that need arguments or mostly end in a TypeError."""
    provider = OperatorProvider()
    names = [name for name in provider if not name.startswith("Variable") and _of_family(name)]
    own = (RemoveStatement, ReturnNone, DefaultText)
    return {name: provider[name]() for name in names} | {each.__name__: each() for each in own}


def _of_family(name: str) -> bool:
    """Whether a replaced operator stays in its family; true of all other changes."""
    if "Operator_" not in name or "_Delete_" in name:
        return True
    pair = set(name.split("_")[1:])
    return any(pair <= family for family in FAMILIES)


@dataclass(frozen=True)
class Mutant:
    """One change at one place."""

    module: str
    line: int
    operator: str
    occurrence: int
    # Lines of the statement up to the change; (0, 0) for what imports run.
    lines: tuple[int, int]

    @property
    def key(self) -> str:
        """Equal for the same change of the same code."""
        text = f"{self.module} {self.operator} {self.occurrence} {digest(ROOT / self.module)}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def code(self) -> str:
        """The changed module; empty where cosmic-ray cannot, as in ``except errors.Dotted``."""
        try:
            code = mutate_code(read(self.module), operators()[self.operator], self.occurrence)
        except AttributeError:
            return ""
        return code or ""


def read(module: str) -> str:
    """The code of a module, or of a test file."""
    return (ROOT / module).read_text(encoding="utf-8")


def digest(path: Path) -> str:
    """Of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def modules() -> list[str]:
    """Paths of the core packages' modules."""
    paths = (path for package in CORE for path in (ROOT / SOURCES / package).rglob("*.py"))
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


def places(module: str, code: str) -> list[list[Mutant]]:
    """Of every place in a module that can change, its changes."""
    found: defaultdict[tuple[Any, Any], list[Mutant]] = defaultdict(list)
    occurrences: Counter[str] = Counter()
    available = operators()
    for node in ast_nodes(get_ast(code)):
        if node.type in ("name", "newline", "string", "endmarker"):
            continue
        for name, operator in available.items():
            for start, end in operator.mutation_positions(node):
                if not is_left_alone(node):
                    lines = (statement_line(node), end[0]) if is_in_a_body(node) else (0, 0)
                    mutant = Mutant(module, start[0], name, occurrences[name], lines)
                    found[start, end].append(mutant)
                occurrences[name] += 1
    return list(found.values())


def is_left_alone(node: Any) -> bool:
    """Whether a node is part of an annotation or a log call, or asks for a type checker."""
    child, parent = node, node.parent
    if node.type == "simple_stmt" and LOG_CALL.match(node.get_code()):
        return True
    if node.type == "if_stmt" and node.children[1].get_code().strip() == "TYPE_CHECKING":
        return True
    while parent is not None:
        if child is annotation_of(parent):
            return True
        if parent.type == "atom_expr" and LOG_CALL.match(parent.get_code()):
            return True
        child, parent = parent, parent.parent
    return False


def annotation_of(node: Any) -> Any:
    """The annotation of an assignment, a parameter or a function."""
    if node.type == "annassign":
        return node.children[1]
    if node.type == "tfpdef":
        return node.children[2]
    return node.annotation if node.type == "funcdef" else None


def is_in_a_body(node: Any) -> bool:
    """Whether a node is in the body of a function, which runs when that is called."""
    while node.parent is not None:
        if node.parent.type in ("funcdef", "lambdef") and node is node.parent.children[-1]:
            return True
        node = node.parent
    return False


def statement_line(node: Any) -> int:
    """Where the statement of a node begins."""
    while node.parent is not None and not node.type.endswith(("_stmt", "def", "decorator")):
        node = node.parent
    return int(node.start_pos[0])


def draw(seed: int, count: int) -> list[Mutant]:
    """The first mutants of a seed's order; more of them begin with the same."""
    order = random.Random(seed)
    each = [place for module in modules() for place in places(module, read(module))]
    order.shuffle(each)
    mutants: list[Mutant] = []
    for place in each:
        mutant = order.choice(place)
        if mutant.code and is_code(mutant.code) and mutant.code != read(mutant.module):
            mutants.append(mutant)
        if len(mutants) == count:
            break
    return mutants


def is_code(text: str) -> bool:
    """Whether a text can be compiled."""
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def diff_of(mutant: Mutant) -> str:
    """Changed lines, with one before and after."""
    before, after = read(mutant.module).splitlines(), mutant.code.splitlines()
    return "\n".join(list(difflib.unified_diff(before, after, lineterm="", n=1))[2:])


def copy_tree(folder: Path) -> Path:
    """Copy what git knows or would add."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def run_tests(tree: Path, arguments: list[str], limit: float | None = None) -> tuple[int, str]:
    """Run pytest in a copy: its exit code, `TOO_LONG` past the limit, and what it wrote."""
    environment = os.environ | {"PYTHONPATH": f"{tree / 'src'}:{tree}", "DO_NOT_TRACK": "1"}
    with tempfile.TemporaryDirectory() as temporary, open(f"{temporary}/output", "w+") as output:
        process = subprocess.Popen(
            [sys.executable, *PYTEST, f"--basetemp={temporary}/tests", *arguments],
            cwd=tree,
            env=environment | {"MUTANTS_MAP": str(KEPT / "map")},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = TOO_LONG
        finally:
            end_group(process)
        return code, Path(output.name).read_text(encoding="utf-8", errors="replace")


def end_group(leader: subprocess.Popen[bytes]) -> None:
    """End the tests' processes, those that a hang left behind too."""
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()


class Map:
    """Which lines of the code each test file reaches, and how many seconds it takes.

    Parameters
    ----------
    tests
        By test file: its ``digest``, ``seconds``, tests that have ``failed`` without any mutation,
        and by module what it ``reached``: digest of the module's code, and lines.
    """

    def __init__(self, tests: dict[str, dict[str, Any]]) -> None:
        self.tests = tests

    @classmethod
    def open(cls, tree: Path) -> Map:
        """Read the map, and measure in a copy of the checkout the test files that it lacks."""
        path = KEPT / "map.json"
        tests = json.loads(path.read_text()) if path.exists() else {}
        files = {
            file.relative_to(tree).as_posix(): file for file in tree.glob("tests/**/test_*.py")
        }
        tests = {name: noted for name, noted in tests.items() if name in files}
        digests = {name: digest(file) for name, file in files.items()}
        lacking = [name for name in files if tests.get(name, {}).get("digest") != digests[name]]
        if lacking:
            print(f"measuring which lines {len(lacking)} test files reach", flush=True)
            found = cls.measured(tree, lacking)
            tests |= {name: found[name] | {"digest": digests[name]} for name in lacking}
            path.write_text(json.dumps(tests))
        return cls(tests)

    @classmethod
    def measured(cls, tree: Path, names: list[str]) -> dict[str, dict[str, Any]]:
        """Run some test files with the plugin `tools.coverage_by_file`."""
        folder = KEPT / "map"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        plugin = ["-p", "tools.coverage_by_file", "-n", "2", "--dist", "loadfile"]
        run_tests(tree, [*plugin, *names])
        found: dict[str, dict[str, Any]] = {
            name: {"seconds": 0.0, "failed": [], "reached": {}} for name in names
        }
        for part in (json.loads(path.read_text()) for path in folder.glob("tests-*.json")):
            for name, seconds in part["seconds"].items():
                found[name]["seconds"] = round(seconds, 2)
            for test in part["failed"]:
                found[test.partition("::")[0]]["failed"].append(test)
        for name, module, line in reached_lines(folder):
            reached = found[name]["reached"]
            reached.setdefault(module, [digest(tree / module), []])[1].append(line)
        return found

    def tests_of(self, mutant: Mutant, budget: float) -> list[str]:
        """The mirrored file, then those that reach the lines: of its folder, then the quickest."""
        module = PurePosixPath(mutant.module).relative_to(SOURCES)
        folder = f"tests/{module.parent}"
        mirrored = f"{folder}/test_{module.name}"
        chosen = [mirrored] if mirrored in self.tests else []

        def worth(name: str) -> tuple[bool, float, str]:
            return str(PurePosixPath(name).parent) != folder, self.tests[name]["seconds"], name

        for file in sorted(self._reaching(mutant) - {mirrored}, key=worth):
            budget -= self.tests[file]["seconds"]
            if budget > 0 or not chosen:
                chosen.append(file)
        return chosen

    def _reaching(self, mutant: Mutant) -> set[str]:
        """Test files that reach the lines; of lines that imports run, those of the module."""
        now, lines = digest(ROOT / mutant.module), range(mutant.lines[0], mutant.lines[1] + 1)
        module: set[str] = set()
        place: set[str] = set()
        for name, noted in self.tests.items():
            code, reached = noted["reached"].get(mutant.module, ("", []))
            module |= {name} if reached else set()
            place |= {name} if code == now and not set(lines).isdisjoint(reached) else set()
        return place or module | self._naming(mutant.module)

    def _naming(self, module: str) -> set[str]:
        """Quick test files that name a module, as in an import."""
        dotted = module.removeprefix(f"{SOURCES}/").removesuffix(".py").replace("/", ".")
        quick = (name for name, noted in self.tests.items() if noted["seconds"])
        return {name for name in quick if dotted in read(name)}

    def failed(self, files: list[str]) -> list[str]:
        """Tests of some files that fail without any mutation."""
        return [test for file in files for test in self.tests[file]["failed"]]

    def limit(self, files: list[str]) -> float:
        """Seconds after which a run counts as hung."""
        return MORE_SECONDS + SLOWER * sum(self.tests[file]["seconds"] for file in files)


def reached_lines(folder: Path) -> Iterator[tuple[str, str, int]]:
    """Test file, module and line, from the coverage data of a folder."""
    for path in folder.glob("coverage*"):
        data = coverage.CoverageData(basename=str(path))
        data.read()
        for measured in data.measured_files():
            module = measured[measured.index(SOURCES) :]
            for line, names in data.contexts_by_lineno(measured).items():
                yield from ((name, module, line) for name in names if name)


class Trials:
    """Mutants that were tried, in a file of one line each."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.path = KEPT / "results.jsonl"

    def read(self) -> dict[str, dict[str, Any]]:
        """The last result of each mutant of the seed, by key."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        results: dict[str, dict[str, Any]] = {}
        for line in lines:
            with suppress(ValueError):  # the last line of a run that was killed
                result = json.loads(line)
                results |= {result["key"]: result} if result["seed"] == self.seed else {}
        return results

    def add(self, result: dict[str, Any]) -> None:
        """Append one."""
        with self.path.open("a") as handle:
            handle.write(json.dumps(result | {"seed": self.seed}) + "\n")


def try_mutant(mutant: Mutant, tree: Path, tests: Map) -> dict[str, Any]:
    """Put a mutant into the copy, run its tests, and take it out again."""
    path, start = tree / mutant.module, time.monotonic()
    files = tests.tests_of(mutant, OTHER_TESTS)
    known = [f"--deselect={name}" for name in tests.failed(files)]
    write(path, mutant.code)
    try:
        code, output = run_tests(tree, ["-x", *files, *known], tests.limit(files))
    finally:
        write(path, read(mutant.module))
    failed = FAILED.search(output)
    return {
        **asdict(mutant),
        "key": mutant.key,
        "diff": diff_of(mutant),
        "outcome": OUTCOMES.get(code, "noticed") if files else "survived",
        "by": failed.group(1) if failed else "",
        "tests": files,
        "seconds": round(time.monotonic() - start, 1),
    }


def write(path: Path, code: str) -> None:
    """Write a module, and remove what Python compiled: it compares only seconds and sizes."""
    path.write_text(code, encoding="utf-8")
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        compiled.unlink()


def summary(results: list[dict[str, Any]], seed: int) -> str:
    """The share that was noticed with its interval, and every survivor."""
    survivors = [each for each in results if each["outcome"] == "survived"]
    n_noticed = len(results) - len(survivors)
    low, high = binomtest(n_noticed, len(results)).proportion_ci(method="wilson")
    share = f"{n_noticed / len(results):.1%} [{low:.1%}, {high:.1%}]"
    head = f"seed {seed}: {len(results)} mutants, {n_noticed} noticed, {share}; survivors:\n"
    return "\n".join([head, *(_survivor(each) for each in survivors)])


def _survivor(result: dict[str, Any]) -> str:
    """One survivor as it is listed."""
    where = f"{result['module']}:{result['line']} {result['operator']}"
    return f"{where}\n{result['diff']}\n"


def main() -> None:
    """Try what is left of a seed's mutants, and print the summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--again", action="store_true", help="try the survivors once more")
    options = parser.parse_args()
    # An exit ends the tests that run and removes the copy.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    KEPT.mkdir(exist_ok=True)
    trials, mutants = Trials(options.seed), draw(options.seed, options.count)
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(Path(folder))
        tests = Map.open(tree)
        for mutant in left_of(mutants, trials.read(), options.again):
            result = try_mutant(mutant, tree, tests)
            trials.add(result)
            print(result["outcome"], f"{mutant.module}:{mutant.line}", result["by"], flush=True)
    known = trials.read()
    text = summary([known[mutant.key] for mutant in mutants], options.seed)
    (KEPT / f"summary-{options.seed}.txt").write_text(text)
    print(text)


def left_of(mutants: list[Mutant], known: dict[str, Any], again: bool) -> list[Mutant]:
    """Those without a result, and the survivors where they are to be tried again."""
    outcomes = {key: each["outcome"] for key, each in known.items()}
    wanted = {None, "survived"} if again else {None}
    return [mutant for mutant in mutants if outcomes.get(mutant.key) in wanted]


if __name__ == "__main__":
    main()
