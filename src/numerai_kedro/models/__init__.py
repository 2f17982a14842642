"""One file per model family, one protocol (`training.protocol.Model`).

A new family: a file here, its row in `registry`, a line in a pipeline, a block of parameters.
"""
