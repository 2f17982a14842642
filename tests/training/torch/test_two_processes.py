"""Two processes that share every batch reach the loss and the weights of one."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from tests.panels import small_panel
from tests.project import ROOT

# Run by both: the first process of a group writes the result.
CODE = """
import json, sys
from numerai_kedro.data import open_panel
from tests.training.torch.test_loop import NoDropout, run, weights

one = run(open_panel(sys.argv[1]), NoDropout)
losses, backward = [], one._backward
one._backward = lambda *batch: losses.append(backward(*batch)) or losses[-1]
one.train()
if one.accelerator.is_main_process:
    found = {name: value.tolist() for name, value in weights(one).items()}
    made = {"n": one.accelerator.num_processes, "losses": losses, "weights": found}
    with open(sys.argv[2], "w") as handle:
        json.dump(made, handle)
one.accelerator.end_training()  # a group that is left open can abort its process at the exit
"""


def came_of(folder, n_processes):
    script, out = folder / "train.py", folder / f"{n_processes}.json"
    script.write_text(CODE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["-m", "torch.distributed.run", f"--nproc-per-node={n_processes}"]
    launch += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    command = [sys.executable, *launch, str(script), str(folder / "panel"), str(out)]
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    settings = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    subprocess.run(command, check=True, env=settings, timeout=300)
    return json.loads(out.read_text())


@pytest.mark.slow
def test_two_processes_come_to_what_one_does(tmp_path):
    small_panel(tmp_path / "panel", n_eras=6)
    alone, pair = (came_of(tmp_path, n) for n in (1, 2))
    assert (alone["n"], pair["n"]) == (1, 2)
    np.testing.assert_allclose(pair["losses"], alone["losses"], atol=1e-6)
    for name, value in alone["weights"].items():
        np.testing.assert_allclose(pair["weights"][name], value, rtol=1e-4, atol=1e-5)
