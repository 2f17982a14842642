"""Pure functions on arrays: scores, intervals, blending, the checks of the gate.

May import `errors`, `files` and `panel`; nothing here reads or writes a file.
"""
