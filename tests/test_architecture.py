"""Imports run one way: the design's order of rooms, checked by reading every import."""

import ast
from pathlib import Path

import pytest

import numerai_kedro

ROOT = Path(numerai_kedro.__file__).parent
PACKAGE = "numerai_kedro"

# Each step may import every step before it; rooms on one step do not import each other.
STEPS = [
    {"errors"},
    {"progress", "strict", "reasons", "own_code"},
    {"files"},
    {"data"},
    {"metrics"},
    {"numerai"},
    {"demo"},
    {"cache", "compute"},
    {"ensemble"},
    {"gate"},
    {"training"},
    {"features"},
    {"models"},
    {"reporting"},
    {"runtime"},
    {"datasets"},
    {"pipelines"},
    {"settings"},
    {"cli", "pipeline_registry"},
    {"__main__"},
]
ORDER = {room: step for step, rooms in enumerate(STEPS) for room in rooms}
# Entry points of the command line and of hooks may import any room, inside functions.
# Modules whose writers get the temporary path of `files.atomic_path`.
HANDED_A_PARTIAL_PATH = {"publish.py", "checkpoint.py", "sufficient.py", "latents.py"}
HEAVY = {"torch", "catboost", "mlflow", "lightgbm", "xgboost", "kedro_viz"}
# Need torch at module level; imported only where a network is trained.
NETWORKS = ("training.torch", "models.modules")


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, bool]]:
    """Imported module names, and whether the import stands at module level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    imported = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            imported += [(alias.name, id(node) not in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            whole_package = base == PACKAGE
            imported += [
                (f"{base}.{alias.name}" if whole_package else base, id(node) not in inside)
                for alias in node.names
            ]
    return imported


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    room = room_of(path)
    if room == "__init__":
        return
    assert room in ORDER, f"{room} is no room of the design: add it to docs/architecture.md"
    for name, _ in imports(path):
        if not name.startswith(f"{PACKAGE}."):
            continue
        other = name.split(".")[1]
        allowed = other == room or ORDER[other] < ORDER[room]
        assert allowed, f"{path.relative_to(ROOT)} ({room}) imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_packages_are_imported_where_they_are_used(path):
    heavy = [n for n, at_top in imports(path) if at_top and n.split(".")[0] in HEAVY]
    networks = [
        name
        for name, at_top in imports(path)
        if at_top and name.removeprefix(f"{PACKAGE}.").startswith(NETWORKS)
    ]
    of_networks = ".".join(path.relative_to(ROOT).with_suffix("").parts).startswith(NETWORKS)
    assert of_networks or not (heavy or networks)


def test_the_rule_would_see_a_wrong_import(tmp_path):
    """The check can fail: a planted import from above is found."""
    planted = tmp_path / "planted.py"
    planted.write_text("def f():\n    from numerai_kedro.pipelines import gbm\n")
    assert imports(planted) == [("numerai_kedro.pipelines", False)]


def test_only_files_opens_for_writing():
    """All persistent files are written by the atomic writer."""
    for path in modules():
        if room_of(path) == "files" or path.name in HANDED_A_PARTIAL_PATH:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            writes = name.endswith((".write_text", ".write_bytes")) or (
                (name == "open" or name.endswith(".open"))
                and any(
                    isinstance(arg, ast.Constant) and str(arg.value) in {"w", "wb", "a", "ab", "x"}
                    for arg in node.args
                )
            )
            assert not writes, f"{path.relative_to(ROOT)}:{node.lineno} writes past `files`"
