"""Scores, intervals, payouts and overfitting: pure functions on arrays.

Nothing here reads or writes a file.
"""
