"""Digests of the code behind kept results, from run to run."""

import shutil
import textwrap
from pathlib import Path

import pytest

import numerai_kedro
from numerai_kedro.cache.code import CodeReader
from numerai_kedro.cache.result_code import CARRIERS, ResultCode
from numerai_kedro.models.lightgbm import LightGBM
from numerai_kedro.training.recipe import CALLED, _roots_of

ROOT = ("toy.learns",)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    root = tmp_path / "toy"
    root.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(value):
        text = f"def learns(x):\n    return {value} * x\n\ndef other(x):\n    return x\n"
        (root / "__init__.py").write_text(textwrap.dedent(text))

    write(1)
    return root, write


def run(toy, tmp_path, keeps=False, roots=ROOT):
    codes = ResultCode(CodeReader(toy[0]), tmp_path / "result_code.json", keeps)
    digest, other = codes.of(roots, ()), codes.is_kept(roots, ())
    codes.save()
    return digest, other


def test_a_change_of_code_is_another_digest(toy, tmp_path):
    before, _ = run(toy, tmp_path)
    toy[1](2)
    after, other = run(toy, tmp_path)
    assert before != after
    assert not other


def test_annotations_say_whose_methods_count_and_count_for_nothing_else(toy, tmp_path):
    text = textwrap.dedent("""
        import numpy as np

        class A:
            def method(self):
                return 1

            def unused(self):
                return 6

        class B:
            def method(self):
                return 5

        def learns(x: A, y: int = 2):
            return x.method() + y
    """)

    def digest_with(old="", new=""):
        assert old in text
        (toy[0] / "__init__.py").write_text(text.replace(old, new))
        return run(toy, tmp_path)[0]

    before = digest_with()
    assert digest_with("return 1", "return 3") != before
    assert digest_with("return 5", "return 3") == before
    assert digest_with("return 6", "return 3") == before
    for kind in ("float", "np.ndarray"):
        assert digest_with("y: int", f"y: {kind}") == before
    assert digest_with("int = 2", "int = 3") != before


def test_on_request_the_digest_stays_and_it_is_said(toy, tmp_path):
    before, _ = run(toy, tmp_path)
    toy[1](2)
    for value in (2, 3):
        toy[1](value)
        assert run(toy, tmp_path, keeps=True) == (before, True)
    toy[1](1)
    assert run(toy, tmp_path, keeps=True) == (before, False)


def test_without_the_request_it_is_made_anew(toy, tmp_path):
    before, _ = run(toy, tmp_path)
    toy[1](2)
    run(toy, tmp_path, keeps=True)
    after, other = run(toy, tmp_path)
    assert after != before
    assert not other


def test_what_was_never_made_is_of_the_code_that_is_here(toy, tmp_path):
    run(toy, tmp_path)
    digest, other = run(toy, tmp_path, keeps=True, roots=("toy.other",))
    assert not other
    assert run(toy, tmp_path, roots=("toy.other",))[0] == digest


PACKAGE = Path(numerai_kedro.__file__).parent
FITS = "of fits of LightGBM"
GRAPHS = ("features.window_graphs._made", "features.sufficient.products_of")
# Roots as the project has them, a file, an edit, and whether results change.
REAL_EDITS = {
    "labels": (
        FITS,
        "models/lightgbm.py",
        "np.where(known, label",
        "np.where(known, 1 - label",
        True,
    ),
    "latents beside features": (FITS, "data/joined.py", "def features(", "def other(", True),
    "products under a graph": (GRAPHS, "features/sufficient.py", "PIECE = 52", "PIECE = 51", True),
    "what a damaged panel does": (
        FITS,
        "data/era_panel.py",
        "condemn(self.folder",
        "print(self.folder",
        False,
    ),
    "a docstring": (FITS, "models/lightgbm.py", "Fit a fixed number", "Fit some", False),
}


@pytest.mark.parametrize("case", REAL_EDITS)
def test_real_edits_change_what_they_compute(tmp_path, case):
    roots, file, old, new, counts = REAL_EDITS[case]
    if roots == FITS:
        names = [f"{root.__module__}.{root.__qualname__}" for root in _roots_of(LightGBM)]
    else:
        names = [f"numerai_kedro.{root}" for root in roots]
    copy = tmp_path / "numerai_kedro"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("*.pyc"))
    without = tuple(f"numerai_kedro.{room}" for room in CARRIERS)
    before = CodeReader(copy).results(names, CALLED, without)
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1))
    assert (CodeReader(copy).results(names, CALLED, without) != before) == counts
