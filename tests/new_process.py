"""Predictions of saved models in a new process."""

import subprocess
import sys

import numpy as np

from numerai_kedro.files.trusted_pickle import write_trusted

CODE = """
import sys, numpy as np
from numerai_kedro.files.trusted_pickle import read_trusted
from numerai_kedro.data import open_panel

folder, panel, *names = sys.argv[1:]
for name in names:
    np.save(f"{folder}/{name}.npy", read_trusted(f"{folder}/{name}").predict(open_panel(panel)))
"""


def predicted_in_a_new_process(models, panel, folder):
    """Save each model as ``folder/<name>``, and predict the panel by them from there."""
    for name, model in models.items():
        write_trusted(folder / name, model)
    arguments = [str(folder), str(panel.folder), *models]
    subprocess.run([sys.executable, "-c", CODE, *arguments], check=True)
    return {name: np.load(folder / f"{name}.npy") for name in models}
