import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.files import folder_lock

HOLDER = """
import sys
from numerai_kedro.files import folder_lock
with folder_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_run_names_the_first_and_a_kill_frees_the_folder(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(ConfigurationError, match=f"process {holder.pid}"),
            folder_lock(tmp_path),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with folder_lock(tmp_path):
        pass


def test_a_run_that_may_wait_goes_on_when_the_other_ends(tmp_path, caplog):
    with ExitStack() as other:
        other.enter_context(folder_lock(tmp_path, ["submit"]))
        waited = []

        def sleep(seconds):
            waited.append(seconds)
            if len(waited) == 3:
                other.close()

        with folder_lock(tmp_path, ["submit"], wait_s=60, sleep=sleep):
            assert sum(waited) == 3
            with pytest.raises(ConfigurationError), folder_lock(tmp_path, ["submit"]):
                pass
    (line,) = caplog.messages
    assert f"waiting for another run (process {os.getpid()}) to end, at most 60 s" in line


def test_waiting_ends_in_the_same_sentence(tmp_path):
    waited = []
    with (
        folder_lock(tmp_path),
        pytest.raises(ConfigurationError, match=f"process {os.getpid()}"),
        folder_lock(tmp_path, ["submit"], wait_s=5, sleep=waited.append),
    ):
        pass
    assert sum(waited) == 5


def test_two_runs_that_write_different_parts_do_not_wait_for_each_other(tmp_path):
    with folder_lock(tmp_path, ["prepare"]), folder_lock(tmp_path, ["submit"]):
        with pytest.raises(ConfigurationError), folder_lock(tmp_path, ["submit"]):
            pass
        with pytest.raises(ConfigurationError), folder_lock(tmp_path):
            pass
    with folder_lock(tmp_path):
        pass
