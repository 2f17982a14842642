"""Everything specific to Numerai: client, calendar, schema of its files, rules of submission.

May import `errors`, `files`, `panel` and `statistics`.
"""
