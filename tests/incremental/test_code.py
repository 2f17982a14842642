"""A package is written to disk, changed, and read again: what counts as another code."""

import ast
import importlib
import sys
import textwrap
from pathlib import Path

import pytest

import numerai_kedro
from numerai_kedro.incremental import code
from numerai_kedro.incremental.code import CodeReader
from numerai_kedro.incremental.content import UnknownContentError

ROOT = Path(numerai_kedro.__file__).parent
FILES = {
    "__init__.py": "",
    "nodes.py": """
        '''Nodes.'''
        import math
        import numpy as np
        from toy.rooms import helper
        from toy import rooms, registry
        from toy.rooms.deep import Base

        LIMIT = 3

        def train(data):
            '''Train.'''
            # a comment
            value = helper(data) + LIMIT
            return np.asarray(value)

        def other(data):
            return rooms.second(data)

        def registered(name):
            return registry.load(name)

        class Child(Base):
            def run(self):
                return 1

        def inside(data):
            from toy.rooms.deep import hidden
            return hidden(data)

        def typed(panel: Base):
            return panel.method()

        def drawn():
            from importlib.resources import files
            return files("toy.rooms").joinpath("page.html").read_text()
    """,
    "rooms/page.html": "<p>text</p>",
    "rooms/__init__.py": "from toy.rooms.deep import helper, second\n",
    "rooms/deep.py": """
        UNUSED = 1
        SCALE = 2

        def helper(data):
            return data * SCALE

        def second(data):
            return data

        def hidden(data):
            return data + 1

        class Base:
            def method(self):
                return 5
    """,
    "registry.py": """
        import importlib

        FAMILIES = {"plugin": ("toy.plugin", "Plugin")}

        def load(name):
            module, member = FAMILIES[name]
            return getattr(importlib.import_module(module), member)
    """,
    "plugin.py": "class Plugin:\n    size = 4\n",
}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The package `toy`: its folder, and a way to read the code of one of its functions."""
    root = tmp_path / "toy"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(str(tmp_path))
    nodes = importlib.import_module("toy.nodes")
    yield root, lambda name: CodeReader(root, tmp_path / "code.json").of([getattr(nodes, name)])
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy"]:
        del sys.modules[name]


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# function, file, what is edited, what it becomes, does the function's code change?
EDITS = {
    "a comment": ("train", "nodes.py", "# a comment", "# another", False),
    "a docstring": ("train", "nodes.py", "'''Train.'''", "'''Fit.'''", False),
    "a module's docstring": ("train", "nodes.py", "'''Nodes.'''", "'''Some nodes.'''", False),
    "its own body": ("train", "nodes.py", "+ LIMIT", "- LIMIT", True),
    "a constant it uses": ("train", "nodes.py", "LIMIT = 3", "LIMIT = 4", True),
    "a neighbour in its module": ("train", "nodes.py", "rooms.second(data)", "data", False),
    "a helper behind a re-export": ("train", "rooms/deep.py", "data * SCALE", "data", True),
    "what the helper uses": ("train", "rooms/deep.py", "SCALE = 2", "SCALE = 3", True),
    "what nobody uses": ("train", "rooms/deep.py", "UNUSED = 1", "UNUSED = 2", False),
    "another member of the room": ("train", "rooms/deep.py", "data + 1", "data + 2", False),
    "a member by its module": ("other", "rooms/deep.py", "return data\n", "return 0\n", True),
    "a sibling of that member": ("other", "rooms/deep.py", "SCALE = 2", "SCALE = 3", False),
    "a module named in a string": ("registered", "plugin.py", "size = 4", "size = 5", True),
    "a template by its package": ("drawn", "rooms/page.html", "text", "words", True),
    "a template of others": ("train", "rooms/page.html", "text", "words", False),
    "a base class": ("Child", "rooms/deep.py", "return 5", "return 6", True),
    "an import inside a function": ("inside", "rooms/deep.py", "data + 1", "data + 2", True),
    "a class named in an annotation": ("typed", "rooms/deep.py", "return 5", "return 6", True),
}


@pytest.mark.parametrize("case", EDITS)
def test_an_edit_counts_where_the_function_reaches_it(toy, case):
    root, code_of = toy
    name, file, old, new, counts = EDITS[case]
    before = code_of(name)
    edit(root / file, old, new)
    after = code_of(name)
    assert (before != after) == counts
    if counts:
        changed = {m for m in before.modules if before.modules[m] != after.modules.get(m)}
        assert changed == {file}


def test_a_definition_that_moves_is_the_same(toy):
    root, code_of = toy
    before = code_of("train")
    text = (root / "rooms/deep.py").read_text()
    constant = "SCALE = 2\n"
    (root / "rooms/deep.py").write_text(text.replace(constant, "") + constant)
    assert code_of("train") == before


def test_libraries_count_by_their_version_and_the_standard_library_does_not(toy):
    _, code_of = toy
    assert set(code_of("train").versions) == {"numpy"}
    assert code_of("other").versions == {}


def test_a_torn_cache_is_read_anew(toy, tmp_path):
    root, code_of = toy
    reader = CodeReader(root, tmp_path / "code.json")
    before = code_of("train")
    reader.save()
    (tmp_path / "code.json").write_text('{"python": [')
    assert code_of("train") == before


def test_what_was_parsed_is_found_again(toy, tmp_path, monkeypatch):
    root, code_of = toy
    reader = CodeReader(root, tmp_path / "code.json")
    nodes = importlib.import_module("toy.nodes")
    before = reader.of([nodes.train])
    reader.save()
    monkeypatch.setattr("numerai_kedro.incremental.code.parse_module", pytest.fail)
    assert code_of("train") == before


def test_a_function_from_another_package_counts_by_its_body(toy):
    root, _ = toy
    reader = CodeReader(root)

    def compiled(text, module="elsewhere"):
        names = {"__name__": module}
        exec(text, names)
        return reader.of([names["f"]])

    same = compiled("def f(x):\n    return [x + 1 for _ in x]")
    assert compiled("def f(x):\n    # a comment\n    return [x + 1 for _ in x]") == same
    assert compiled("def f(x):\n    return [x + 2 for _ in x]") != same
    assert compiled("def f(x):\n    return [x - 1 for _ in x]") != same
    with pytest.raises(UnknownContentError, match="f is defined in a notebook or a script"):
        compiled("def f(x):\n    return x", module="__main__")


# How a module may bind or do something at its top level, and an edit of it that must count.
FORMS = {
    "a function in if": ("if True:\n    def extra(x):\n        return 1\n", "1\n", "2\n"),
    "a constant in try": (
        "try:\n    extra = int('1')\nexcept ValueError:\n    pass\n",
        "'1'",
        "'2'",
    ),
    "a constant for all but types": (
        "if TYPE_CHECKING:\n    pass\nelse:\n    extra = abs(-1)\n",
        "abs(-1)",
        "abs(-2)",
    ),
    "a loop that fills a registry": (
        "extra = {}\nfor k in 'ab':\n    extra[k] = 1\n",
        "= 1",
        "= 2",
    ),
    "a call that fills one": ("extra = {}\nextra.update({k: 1 for k in 'ab'})\n", "k: 1", "k: 2"),
    "an item that is set": ("extra = {}\nextra['x'] = 1\n", "= 1", "= 2"),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_a_module_does_at_its_top_level_counts(toy, form):
    root, code_of = toy
    statements, old, new = FORMS[form]
    room = root / "rooms" / "deep.py"
    room.write_text(statements + room.read_text().replace("data * SCALE", "extra"))
    before = code_of("train")
    edit(room, old, new)
    assert code_of("train") != before


@pytest.mark.parametrize(
    "statement",
    [
        "import toy.plugin",
        "from toy import plugin",
        "from toy.plugin import *",
        "import toy.plugin as p",
        "name = 'toy.plugin:Plugin'",
    ],
)
def test_every_form_of_import_inside_a_function_counts(toy, statement):
    root, code_of = toy
    room = root / "rooms" / "deep.py"
    inner = "    " + statement if "*" not in statement else "    pass"
    top = statement + "\n" if "*" in statement else ""
    text = room.read_text().replace("    return data * SCALE", f"{inner}\n    return data * SCALE")
    room.write_text(top + text)
    before = code_of("train")
    edit(root / "plugin.py", "size = 4", "size = 5")
    assert code_of("train") != before


def test_what_a_package_does_when_it_is_imported_counts(toy):
    root, code_of = toy
    before = code_of("train")
    (root / "__init__.py").write_text("import os\nos.environ['THREADS'] = '1'\n")
    assert code_of("train") != before


def test_every_library_that_the_project_names_has_a_version():
    named = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                named |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                named.add(node.module.partition(".")[0])
    foreign = named - set(sys.stdlib_module_names) - {"numerai_kedro"}
    assert {"numpy", "yaml"} <= foreign
    assert [name for name in foreign if not code._version(name)] == []
