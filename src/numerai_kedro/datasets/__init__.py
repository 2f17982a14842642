"""Kedro datasets of our own; named only in the catalog."""
