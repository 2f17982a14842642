"""The one training loop of every torch network, and what it is made of.

batches      eras as int8, moved as int8, cast on the device; labels ranked inside an era
losses       rank-Gauss regression of several targets, and a differentiable CORR
microbatch   how many rows the device holds at once
checkpoint   all state of a run, written whole or not at all
loop         evaluate, step, save, log; repairs what it can and says what it did
"""
