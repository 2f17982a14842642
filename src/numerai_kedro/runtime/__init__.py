"""Kedro's session, hooks and configuration; typed parameters; the connection to a tournament."""
