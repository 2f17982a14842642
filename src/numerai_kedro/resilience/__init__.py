"""What the machine can hold, and what of the work fits on it.

May import `errors`, `files`, `panel` and `statistics`.
"""
