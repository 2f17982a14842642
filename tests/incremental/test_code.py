"""A package is written to disk, changed, and read again: what counts as another code."""

import importlib
import sys
import textwrap

import pytest

from numerai_kedro.incremental.code import CodeReader

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
    """,
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


def test_a_function_from_outside_the_package_counts_by_its_body(toy, tmp_path):
    root, _ = toy
    reader = CodeReader(root)

    def compiled(text):
        names = {"__name__": "__main__"}
        exec(text, names)
        return reader.of([names["f"]])

    same = compiled("def f(x):\n    return [x + 1 for _ in x]")
    assert compiled("def f(x):\n    # a comment\n    return [x + 1 for _ in x]") == same
    assert compiled("def f(x):\n    return [x + 2 for _ in x]") != same
    assert compiled("def f(x):\n    return [x - 1 for _ in x]") != same
