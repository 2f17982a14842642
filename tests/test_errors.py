"""The documented tree is the real one, and addresses are shown without their password."""

import inspect
import re

import click
import pytest
from click.testing import CliRunner

from numerai_kedro import errors
from numerai_kedro.errors import NumeraiKedroError, PanelError, without_password


def test_the_drawn_tree_has_every_error_under_its_parent():
    drawn, path = {}, []
    for line in inspect.cleandoc(errors.__doc__).splitlines():
        match = re.match(r"( {4}[│├└─ ]*)(\w+)  ", line)
        if match:
            depth = (len(match[1]) - 4) // 4
            path = [*path[:depth], match[2]]
            drawn[match[2]] = path[-2] if depth else "ClickException"
    real = {
        name: kind.__bases__[0].__name__
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, NumeraiKedroError)
    }
    assert drawn == real


def test_an_error_of_ours_is_one_sentence_and_exit_code_1():
    @click.command()
    def command():
        raise PanelError("the panel is torn; build it again.")

    ended = CliRunner().invoke(command)
    assert (ended.exit_code, ended.output) == (1, "Error: the panel is torn; build it again.\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hunter2@db:5432/x", "postgresql://***@db:5432/x"),
        (
            "from https://token@host/a to //u:p@b",
            "from https://***@host/a to //***@b",
        ),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("http://host/path?mail=a@b", "http://host/path?mail=a@b"),
    ],
)
def test_passwords_are_masked_and_nothing_else_is(text, shown):
    assert without_password(text) == shown
