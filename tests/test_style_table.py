"""The table of style counts what it says, and a circle of imports is found."""

import ast
import textwrap

from tools.style_table import body_lines, circles, functions_of, lines_of, parameters_of

SOURCE = textwrap.dedent('''
    """A module."""

    # Why, not what.
    def f(self, a, b, *, c):
        """Of one line."""
        x = a  # beside it
        return (
            x + b + c
        )
''')


def test_bodies_are_counted_after_their_docstrings():
    (function,) = functions_of(ast.parse(SOURCE))
    assert body_lines(function) == 4
    assert parameters_of(function) == 3


def test_comments_are_lines_and_docstrings_are_no_code():
    assert lines_of(SOURCE) == (2, 5)


def test_modules_that_import_each_other_are_one_group():
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert circles(edges) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []
