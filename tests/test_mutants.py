"""tools/mutants.py changes what it says, leaves the rest alone, and tells what tests notice."""

import textwrap
from pathlib import Path

import pytest
from tools import mutants
from tools.mutants import Map, Mutant, Trials, draw, left_of, operators, places, summary, try_mutant

MODULE = "src/numerai_kedro/metrics/small.py"
CODE = '''
"""One of 3."""
import logging
from typing import TYPE_CHECKING

logger = logging.getLogger(__name__)
if TYPE_CHECKING:
    import os


def f(a: int | None, b: str = "x") -> int | None:
    """Two of 3."""
    logger.info("%s", a + 1)
    a += 2
    return a if a < 9 else -a
'''
TEST = """
from numerai_kedro.metrics.small import f


def test_f():
    assert f(1) == 3
"""


def changes(code):
    """Every changed line of a module, by operator."""
    return {
        (mutant.operator, line.strip())
        for place in places(MODULE, code)
        for mutant in place
        for line in mutants.mutate_code(
            code, operators()[mutant.operator], mutant.occurrence
        ).splitlines()
        if line not in code.splitlines()
    }


def test_places_are_changed_one_at_a_time():
    found = changes(CODE)
    assert ("RemoveStatement", "pass") in found
    assert ("ReturnNone", "return None") in found
    assert ("AddNot", "return a if not a < 9 else -a") in found
    assert ("NumberReplacer", "return a if a < 10 else -a") in found
    assert ("ReplaceComparisonOperator_Lt_LtE", "return a if a <= 9 else -a") in found
    assert ("DefaultText", 'def f(a: int | None, b: str = "another") -> int | None:') in found


def test_annotations_docstrings_and_log_calls_are_left_alone():
    assert all("logger" not in line and "of 3" not in line for _, line in changes(CODE))
    assert not any("TYPE_CHECKING" in line for _, line in changes(CODE))
    assert all("int | None" in line for _, line in changes(CODE) if line.startswith("def"))


def test_what_imports_run_is_told_from_bodies_of_functions():
    code = "A = 1\n\nclass C:\n    b: int = 2\n\n    def f(self, c=3):\n        return 4\n"
    lines = {place[0].line: place[0].lines for place in places(MODULE, code)}
    assert lines == {1: (0, 0), 4: (0, 0), 6: (0, 0), 7: (7, 7)}


def test_a_statement_that_only_has_an_effect_is_removed():
    code = "def f(x, y):\n    x.y = 1\n    z = 2\n    y[0] -= 1\n    g(z)\n    raise E\n"
    removed = [
        place[0].line for place in places(MODULE, code) if place[0].operator == "RemoveStatement"
    ]
    assert removed == [2, 4, 5, 6]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of one module, and its copy."""
    root, tree = tmp_path / "root", tmp_path / "tree"
    for folder in (root, tree):
        for name, text in (
            (MODULE, textwrap.dedent(CODE)),
            ("src/numerai_kedro/__init__.py", ""),
            ("src/numerai_kedro/metrics/__init__.py", ""),
            ("tests/metrics/test_small.py", TEST),
            ("pyproject.toml", '[tool.pytest.ini_options]\nmarkers = ["slow"]\n'),
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    monkeypatch.setattr(mutants, "ROOT", root)
    monkeypatch.setattr(mutants, "KEPT", tmp_path / "kept")
    return tree


def test_draw_begins_with_the_same_mutants_whatever_the_count(checkout):
    assert draw(3, 5) == draw(3, 9)[:5]
    assert draw(3, 5) != draw(4, 5)


def test_a_mutant_is_noticed_by_a_test_that_fails_and_the_copy_is_restored(checkout):
    file = "tests/metrics/test_small.py"
    tests = Map({file: {"seconds": 0.1, "failed": [], "reached": {}}})
    (comparison,) = (p for p in places(MODULE, CODE) if p[0].operator.startswith("ReplaceComp"))
    by_name = {
        mutant.operator.removeprefix("ReplaceComparisonOperator_"): mutant for mutant in comparison
    }
    noticed = try_mutant(by_name["Lt_Gt"], checkout, tests)
    assert (noticed["outcome"], noticed["by"]) == ("noticed", f"{file}::test_f")
    assert "+    return a if a > 9 else -a" in noticed["diff"]
    survived = try_mutant(by_name["Lt_LtE"], checkout, tests)
    assert (survived["outcome"], survived["by"]) == ("survived", "")
    assert (checkout / MODULE).read_text() == CODE


def test_tests_are_the_mirrored_file_and_those_that_reach_the_line(checkout):
    mirrored, near, slow, far = "tests/metrics/test_small.py", "near", "slow", "far"
    beside, naming = "tests/metrics/test_beside.py", "naming"
    for name, text in ((near, ""), (slow, ""), (far, ""), (naming, '"metrics.small"')):
        (mutants.ROOT / name).write_text(text)
    (mutants.ROOT / beside).write_text("")
    code = mutants.digest(mutants.ROOT / MODULE)
    tests = Map(
        {
            mirrored: {"seconds": 99, "reached": {}},
            near: {"seconds": 1, "reached": {MODULE: [code, [9, 12]]}},
            slow: {"seconds": 50, "reached": {MODULE: [code, [10]]}},
            far: {"seconds": 1, "reached": {MODULE: [code, [8, 11]]}},
            beside: {"seconds": 5, "reached": {MODULE: [code, [9]]}},
            naming: {"seconds": 2, "reached": {}},
        }
    )
    mutant = Mutant(MODULE, 10, "AddNot", 0, (9, 10))
    assert tests.tests_of(mutant, 20) == [mirrored, beside, near]
    assert tests.tests_of(mutant, 60) == [mirrored, beside, near, slow]
    (mutants.ROOT / MODULE).write_text("# other lines\n")
    assert tests.tests_of(mutant, 60) == [mirrored, beside, far, near, naming, slow]


def test_the_map_is_measured_of_test_files_that_are_new(checkout, monkeypatch):
    file = "tests/metrics/test_small.py"
    mutants.KEPT.mkdir()
    for name in ("__init__.py", "coverage_by_file.py"):
        (checkout / "tools").mkdir(exist_ok=True)
        source = Path(mutants.__file__).with_name(name)
        (checkout / "tools" / name).write_text(source.read_text() if source.exists() else "")
    noted = Map.open(checkout).tests[file]
    code, lines = noted["reached"][MODULE]
    assert code == mutants.digest(checkout / MODULE)
    assert {13, 14, 15} <= set(lines)
    assert noted["failed"] == []
    monkeypatch.setattr(Map, "measured", pytest.fail)
    assert Map.open(checkout).tests == {file: noted}


def test_results_are_kept_by_seed_and_a_torn_line_is_tried_again(checkout):
    mutants.KEPT.mkdir()
    three, four = Trials(3), Trials(4)
    three.add({"key": "a", "outcome": "survived"})
    three.add({"key": "a", "outcome": "noticed"})
    four.add({"key": "a", "outcome": "hung"})
    with three.path.open("a") as handle:
        handle.write('{"key": "b", "outco')
    assert three.read() == {"a": {"key": "a", "outcome": "noticed", "seed": 3}}
    assert four.read()["a"]["outcome"] == "hung"
    assert Trials(5).read() == {}


def test_what_has_a_result_is_not_tried_again_unless_it_survived(checkout):
    first, second, third = draw(0, 3)
    known = {first.key: {"outcome": "noticed"}, second.key: {"outcome": "survived"}}
    assert left_of([first, second, third], known, again=False) == [third]
    assert left_of([first, second, third], known, again=True) == [second, third]


def test_summary_gives_the_share_and_the_survivors():
    survivor = {"module": MODULE, "line": 11, "operator": "AddNot", "diff": "-a\n+b"}
    results = [{"outcome": "noticed"}] * 46 + [
        {"outcome": "hung"},
        survivor | {"outcome": "survived"},
    ]
    text = summary(results, 5)
    assert text.startswith("seed 5: 48 mutants, 47 noticed, 97.9% [89.1%, 99.6%]; survivors:\n")
    assert text.endswith(f"{MODULE}:11 AddNot\n-a\n+b\n")
