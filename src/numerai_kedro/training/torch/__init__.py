"""The training loop shared by all torch networks, and its parts.

batches      eras as int8, cast to float on the device; labels ranked inside an era
losses       rank-Gauss regression of several targets, and a differentiable CORR
microbatch   how many rows the device holds at once
checkpoint   all state of a run, written atomically
loop         evaluate, step, save, log; repairs what it can, and reports it
"""
