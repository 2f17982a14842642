"""Digests of the code behind kept results, from run to run."""

import textwrap

import pytest

from numerai_kedro.incremental.code import CodeReader
from numerai_kedro.incremental.result_code import ResultCode

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
