"""Tests that need torch are left out where `make networks` has not installed it."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]
