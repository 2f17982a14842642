import signal
import subprocess
import sys

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


def test_two_runs_that_write_different_parts_do_not_wait_for_each_other(tmp_path):
    with folder_lock(tmp_path, ["prepare"]), folder_lock(tmp_path, ["submit"]):
        with pytest.raises(ConfigurationError), folder_lock(tmp_path, ["submit"]):
            pass
        with pytest.raises(ConfigurationError), folder_lock(tmp_path):
            pass
    with folder_lock(tmp_path):
        pass
