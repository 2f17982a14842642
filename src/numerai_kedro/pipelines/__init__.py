"""Kedro pipelines: thin wiring; the other packages do the work."""
