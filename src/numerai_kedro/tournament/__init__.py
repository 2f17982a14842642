"""All that knows Numerai: the client, the calendar, the schema of its files, its rules of submission.

May import `errors`, `files`, `panel` and `statistics`.
"""
