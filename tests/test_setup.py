"""Setup says in one sentence what is missing and how to get it, before it downloads anything."""

import ast
import importlib.util
import os
import subprocess
import sys
from collections import namedtuple

import pytest

from tests.project import ROOT

SCRIPT = ROOT / "tools" / "setup_environment.py"
Usage = namedtuple("Usage", "total used free")
Version = namedtuple("Version", "major minor micro")


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The script, as if it lay in an empty checkout on a machine without a GPU."""
    spec = importlib.util.spec_from_file_location("setup_environment", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    monkeypatch.setattr(module, "ROOT", str(tmp_path))
    monkeypatch.setattr(module, "VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(module, "STAMP", str(tmp_path / ".venv" / "stamp"))
    monkeypatch.setenv("GPU", "0")
    return module


@pytest.fixture
def calls(script, monkeypatch):
    """The commands that would have been run."""
    commands = []

    def call(command, **_):
        commands.append(command)
        return 0

    monkeypatch.setattr(script.subprocess, "call", call)
    monkeypatch.setattr(script.subprocess, "check_call", call)
    monkeypatch.setattr(
        script.subprocess, "run", lambda c, **_: subprocess.CompletedProcess(c, returncode=1)
    )
    os.makedirs(script.VENV)
    return commands


def sentence_of(script):
    with pytest.raises(SystemExit) as ended:
        script.main()
    text = str(ended.value.code)
    assert text.startswith("setup: ")
    assert "\n" not in text
    return text


def test_an_old_python_is_named_with_the_package_to_get(script, calls, monkeypatch):
    monkeypatch.setattr(script.sys, "version_info", Version(3, 9, 2))
    text = sentence_of(script)
    assert "Python 3.9 is too old" in text
    assert "apt-get install python3.11 python3.11-venv" in text
    assert calls == []


def test_a_python_without_venv_is_told_which_package_brings_it(script, calls, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    text = sentence_of(script)
    assert f"apt-get install python{sys.version_info.major}.{sys.version_info.minor}-venv" in text
    assert calls == []


def test_no_libgomp(script, calls, monkeypatch):
    monkeypatch.setattr(script, "has_libgomp", lambda: False)
    assert "apt-get install libgomp1" in sentence_of(script)
    assert calls == []


def test_a_full_disk(script, calls, monkeypatch):
    monkeypatch.setattr(script.shutil, "disk_usage", lambda _: Usage(0, 0, 300 << 20))
    assert "has 300 MB free, the packages need about 2700 MB" in sentence_of(script)
    assert calls == []


def test_no_network(script, calls, monkeypatch, capfd):
    monkeypatch.setattr(script.subprocess, "call", lambda *_, **__: 1)
    text = sentence_of(script)
    assert "check the network, a proxy (HTTPS_PROXY) and the disk" in text
    assert not os.path.exists(script.STAMP)
    assert "downloads about 580 MB" in capfd.readouterr().out


def test_a_wrong_choice_of_gpu(script, calls, monkeypatch):
    monkeypatch.setenv("GPU", "yes")
    assert "GPU=yes is not understood: GPU=1 installs for an NVIDIA card" in sentence_of(script)


@pytest.mark.parametrize(("driver", "chosen", "extra"), [
    (False, "", "cpu"), (True, "", "gpu"), (True, "0", "cpu"), (False, "1", "gpu"),
])  # fmt: skip
def test_the_extra_follows_the_driver_unless_it_is_chosen(
    script, calls, monkeypatch, driver, chosen, extra
):
    monkeypatch.setenv("GPU", chosen)
    monkeypatch.setattr(script.os.path, "exists", exists_with(driver))
    monkeypatch.setattr(script.shutil, "which", lambda _: None)
    script.main()
    assert calls[-1][-2].endswith(f"[{extra},dev]")


def exists_with(driver):
    real = os.path.exists
    return lambda path: driver if str(path).startswith("/proc/driver/nvidia") else real(path)


def test_the_other_xgboost_goes_first(script, calls, monkeypatch):
    monkeypatch.setattr(
        script.subprocess, "run", lambda c, **_: subprocess.CompletedProcess(c, returncode=0)
    )
    script.main()
    assert calls[-2][-3:] == ["xgboost", "xgboost", "xgboost-cpu"]


def test_nothing_to_do_does_nothing_and_a_changed_project_is_installed_again(script, calls, capfd):
    script.main()
    os.makedirs(os.path.join(script.VENV, "bin"))
    open(os.path.join(script.VENV, "bin", "kedro"), "w").close()
    calls.clear()
    capfd.readouterr()
    script.main()
    assert calls == []
    assert capfd.readouterr().out == ""
    with open(os.path.join(script.ROOT, "pyproject.toml"), "a") as handle:
        handle.write("# one more package\n")
    script.main()
    assert calls


def test_it_parses_on_a_python_that_is_far_too_old():
    """An old interpreter has to reach the error message: no newer syntax."""
    ast.parse(SCRIPT.read_text(), feature_version=(3, 4))
