"""What a saved model predicts where nothing of this process is left."""

import subprocess
import sys

import numpy as np

from numerai_kedro.files.trusted_pickle import write_trusted

CODE = """
import sys, numpy as np
from numerai_kedro.files.trusted_pickle import read_trusted
from numerai_kedro.panel import open_panel

np.save(sys.argv[3], read_trusted(sys.argv[1]).predict(open_panel(sys.argv[2])))
"""


def predicted_in_a_new_process(model, panel, folder):
    """Save the model as ``folder/model``, and predict the panel by it from there."""
    write_trusted(folder / "model", model)
    out = folder / "out.npy"
    arguments = [str(folder / "model"), str(panel.folder), str(out)]
    subprocess.run([sys.executable, "-c", CODE, *arguments], check=True)
    return np.load(out)
