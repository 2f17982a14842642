"""Kedro datasets of our own; named only in the catalog.

They read and write through `files`, and may use `panel`, `incremental`, `resilience` and
`tournament` to give nodes what they work on.
"""
