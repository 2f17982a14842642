"""Kedro datasets of this project; only the catalog names them."""
