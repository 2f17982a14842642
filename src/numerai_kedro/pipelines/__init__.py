"""Kedro pipelines: thin, they wire; the rooms do the work."""
