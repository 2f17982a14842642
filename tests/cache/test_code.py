"""A package is written to disk, changed, and read again: which edits count as changed code."""

import ast
import importlib
import sys
import textwrap
from pathlib import Path

import pytest

import numerai_kedro
from numerai_kedro.cache import code, sources
from numerai_kedro.cache.code import CodeReader
from numerai_kedro.cache.content import UnknownContentError
from numerai_kedro.cache.normal_form import normal_form

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
    "model.py": """
        import logging
        from toy.rooms import deep
        from toy.rooms.deep import Base, helper

        logger = logging.getLogger(__name__)
        STEPS = 3

        class Model(Base):
            depth: int = 2

            def fit(self, data):
                '''Fit.'''
                # a comment
                value = [helper(one) for one in data]
                logger.info("fitted %s", value)
                if not value:
                    raise ValueError(f"nothing in {data}")
                assert value, "nothing"
                return self.after(value, steps=STEPS)

            def after(self, value, *, steps):
                return deep.second(value)[:steps]

            def cost(self, n_rows):
                return 8 * n_rows

            def __len__(self):
                return 1
    """,
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
    monkeypatch.setattr("numerai_kedro.cache.sources.parse_module", pytest.fail)
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


# What is edited in model.py, what it becomes, and whether results of a fit change.
RESULT_EDITS = {
    "a comment": ("# a comment", "# another", False),
    "a docstring": ("'''Fit.'''", "'''Learn.'''", False),
    "text of a log": ("fitted %s", "learned from %s", False),
    "one more line of a log": ("# a comment", "logger.debug('x')", False),
    "text of an error": ("nothing in {data}", "no rows in {STEPS}", False),
    "text of an assertion": ('value, "nothing"', 'value, "no rows"', False),
    "an annotation of a function": ("fit(self, data)", "fit(self, data: list) -> list", False),
    "a method that no fit calls": ("8 * n_rows", "9 * n_rows", False),
    "another error": ("raise ValueError", "raise TypeError", True),
    "what a fit computes": ("helper(one) for", "-helper(one) for", True),
    "what a method of it computes": ("[:steps]", "[:-steps]", True),
    "a constant": ("STEPS = 3", "STEPS = 4", True),
    "a field": ("depth: int = 2", "depth: int = 3", True),
    "the name of a parameter": ("self, value, *", "self, values, *", True),
    "a special method": ("return 1", "return 2", True),
    "a method that a fit comes to call": ("if not value", "if not self.cost(value)", True),
}


def results(root, cache=None, **given):
    model = importlib.import_module("toy.model").Model
    return CodeReader(root, cache).results([model], ["fit"], **given)


@pytest.mark.parametrize("case", RESULT_EDITS)
def test_results_hang_on_what_computes_them(toy, case):
    root, _ = toy
    old, new, counts = RESULT_EDITS[case]
    before = results(root)
    edit(root / "model.py", old, new)
    assert (results(root) != before) == counts


@pytest.mark.parametrize(
    ("before", "after", "equal"),
    [
        ("def f(a, b):\n    return a - b", "def f(b, a):\n    return b - a", False),
        ("def f(a):\n    b = a\n    return b", "def f(a):\n    c = a\n    return c", True),
        (
            "def f():\n    a = 1; b = 2\n    return a - b",
            "def f():\n    b = 1; a = 2\n    return a - b",
            False,
        ),
        (
            "def f():\n    a = 1\n    return locals()",
            "def f():\n    b = 1\n    return locals()",
            False,
        ),
        (
            "def f(x):\n    for a in x:\n        logger.info(a)\n        g(a)",
            "def f(x):\n    for b in x:\n        g(b)",
            True,
        ),
        (
            "def f(x) -> int:\n    y: int = x\n    return y",
            "def f(x):\n    y = x\n    return y",
            True,
        ),
        ("def f():\n    import a\n    return a.b", "def f():\n    return a.b", True),
        ("x: int = 1", "x: float = 1", False),
    ],
)
def test_a_normal_form_is_equal_for_equal_results(before, after, equal):
    forms = [normal_form(ast.parse(text).body[0]) for text in (before, after)]
    assert (forms[0] == forms[1]) == equal


def test_code_that_moves_to_another_module_gives_the_same_results(toy):
    root, _ = toy
    before = results(root)
    room = root / "rooms" / "deep.py"
    helper = "def helper(data):\n    return data * SCALE\n"
    (root / "rooms" / "deeper.py").write_text("SCALE = 2\n\n" + helper)
    text = room.read_text()
    assert helper in text
    room.write_text("from toy.rooms.deeper import helper\n" + text.replace(helper, ""))
    edit(root / "model.py", "deep import Base, helper", "deep import Base")
    edit(root / "model.py", "import logging", "import logging\nfrom toy.rooms.deeper import helper")
    assert results(root) == before


def test_what_carries_results_does_not_count(toy):
    root, _ = toy
    before, all_before = results(root, without=("toy.rooms",)), results(root)
    edit(root / "rooms" / "deep.py", "SCALE = 2", "SCALE = 3")
    assert results(root, without=("toy.rooms",)) == before
    assert results(root) != all_before


def test_libraries_of_results_count_by_two_numbers_of_their_version(toy, monkeypatch):
    root, _ = toy
    edit(root / "rooms" / "deep.py", "return data * SCALE", "return np.array(data)")
    edit(root / "rooms" / "deep.py", "UNUSED = 1", "import numpy as np")

    def with_version(version):
        monkeypatch.setattr(code, "_version", lambda library: {"numpy": version}.get(library, ""))
        return results(root)

    before = with_version("2.1.0")
    assert with_version("2.1.7") == before
    assert with_version("2.2.0") != before


TWICE = "def f(x):\n    return 2 * x\n"
LAZY = "def __getattr__(name):\n    from toy.more import f\n    return f\n"
# How code uses files that no name in it refers to, and the file that is then edited.
REACHED = {
    "a package beside": (
        {"../beside/__init__.py": "", "../beside/tools.py": TWICE},
        "from beside.tools import f",
        "f(data)",
        "../beside/tools.py",
    ),
    "a module beside": ({"../lonely.py": TWICE}, "import lonely", "lonely.f(data)", "../lonely.py"),
    "an entry of a registry": (
        {
            "kinds.py": "KINDS = {}\n",
            "more.py": f"from toy.kinds import KINDS\n\n{TWICE}\nKINDS['f'] = f\n",
        },
        "from toy.kinds import KINDS",
        "KINDS['f'](data)",
        "more.py",
    ),
    "an entry of a registry by a decorator": (
        {
            "kinds.py": "KINDS = {}\n\ndef kind(f):\n    KINDS[f.__name__] = f\n    return f\n",
            "more.py": f"from toy.kinds import kind\n\n@kind\n{TWICE}",
        },
        "from toy.kinds import KINDS",
        "KINDS['f'](data)",
        "more.py",
    ),
    "an attribute that a module makes": (
        {"lazy.py": LAZY, "more.py": TWICE},
        "from toy import lazy",
        "lazy.anything(data)",
        "more.py",
    ),
    "a member that a module makes": (
        {"lazy.py": LAZY, "more.py": TWICE},
        "from toy.lazy import anything",
        "anything(data)",
        "more.py",
    ),
}


@pytest.mark.parametrize("way", REACHED)
def test_what_no_name_leads_to_is_followed(toy, way):
    root, code_of = toy
    files, imported, call, file = REACHED[way]
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    edit(root / "rooms" / "deep.py", "UNUSED = 1", imported)
    edit(root / "rooms" / "deep.py", "return data * SCALE", f"return {call}")
    importlib.invalidate_caches()
    before, results_before = code_of("train"), results(root)
    edit(root / file, "2 * x", "3 * x")
    assert code_of("train") != before
    assert results(root) != results_before


# A class that learns, beside a module of constants and helpers; what is edited, and whether results
# of it change.
KIND = """
import math
from fractions import Fraction as Number
from toy.parts import *
from toy.parts import Left, Right, a as first, b as second
from toy.parts import SCALE
import toy.parts as parts
LIMITS = {}
STEPS = 1
STEPS += 1
for ROUNDS in (5, 7):
    pass
LIMITS["x"] = 3

class Kind(Left):
    predict = lambda self, x: x

    def fit(self, x):
        from math import floor as rounded
        if x < 0:
            raise ValueError("below", 1)
        both = first(x) + second(x) + Right().run(x) + self.run(x)
        made = Number(rounded(both)) * STEPS * ROUNDS * LIMITS["x"]
        return made * SCALE * parts.OTHER + starred(x)
"""
PARTS = """
import threading
SCALE = 2
OTHER = 3

def a(x):
    return x

def b(x):
    return -x

def starred(x):
    return x

class Left:
    def run(self, x):
        return x + 1

class Right:
    def run(self, x):
        return x - 1

class Called(threading.Thread):
    def answer(self):
        return 1

def starts():
    return Called()
"""
DEEP_EDITS = {
    "a member of a library": ("kind", "Fraction as Number", "Decimal as Number", True),
    "a library inside a function": ("kind", "floor as rounded", "ceil as rounded", True),
    "a function behind a star": (
        "parts",
        "def starred(x):\n    return x",
        "def starred(x):\n    return 1",
        True,
    ),
    "a constant of another module": ("parts", "OTHER = 3", "OTHER = 4", True),
    "an addition at import": ("kind", "STEPS += 1", "STEPS += 2", True),
    "a loop at import": ("kind", "(5, 7)", "(5, 8)", True),
    "an item set at import": ("kind", 'LIMITS["x"] = 3', 'LIMITS["x"] = 4', True),
    "something done at import": ("kind", "STEPS = 1", "math.trunc(2)\nSTEPS = 1", True),
    "two functions under each other's names": (
        "kind",
        "a as first, b as second",
        "b as first, a as second",
        True,
    ),
    "what an error is told": ("kind", '"below", 1', '"below", 2', True),
    "the text of an error": ("kind", '"below", 1', '"under", 1', False),
}


@pytest.mark.parametrize("case", DEEP_EDITS)
def test_what_names_stand_for_counts(toy, case):
    root, _ = toy
    (root / "kind.py").write_text(KIND)
    (root / "parts.py").write_text(PARTS)
    file, old, new, counts = DEEP_EDITS[case]
    before = results_of(root, "toy.kind.Kind", "fit")
    edit(root / f"{file}.py", old, new)
    assert (results_of(root, "toy.kind.Kind", "fit") != before) == counts


def results_of(root, name, *reads):
    return CodeReader(root).results([name], reads)


def test_methods_of_two_classes_that_are_swapped_are_other_results(toy):
    root, _ = toy
    (root / "kind.py").write_text(KIND)
    (root / "parts.py").write_text(PARTS)
    before = results_of(root, "toy.kind.Kind", "fit")
    swapped = PARTS.replace("x + 1", "x ? 1").replace("x - 1", "x + 1").replace("x ? 1", "x - 1")
    (root / "parts.py").write_text(swapped)
    assert results_of(root, "toy.kind.Kind", "fit") != before


def test_methods_that_a_library_calls_count(toy):
    root, _ = toy
    (root / "parts.py").write_text(PARTS)
    before = results_of(root, "toy.parts.starts")
    edit(root / "parts.py", "return 1\n\ndef starts", "return 2\n\ndef starts")
    assert results_of(root, "toy.parts.starts") != before


def test_the_version_of_a_library_with_another_name_is_found():
    assert code._version("sklearn")
    assert code._version("no_such_library") == ""


def test_another_way_to_take_sources_apart_is_another_cache(toy, tmp_path, monkeypatch):
    root, code_of = toy
    reader = CodeReader(root, tmp_path / "code.json")
    reader.of(["toy.nodes.train"])
    reader.save()
    monkeypatch.setattr("numerai_kedro.cache.sources._PYTHON", ["another"])
    monkeypatch.setattr("numerai_kedro.cache.sources._PARSED", {})
    parsed = []
    parse = sources.parse_module
    monkeypatch.setattr(sources, "parse_module", lambda *a: parsed.append(a) or parse(*a))
    assert code_of("train")
    assert parsed
