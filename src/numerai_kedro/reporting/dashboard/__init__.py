"""The page that opens offline: figures, tables, summary."""
