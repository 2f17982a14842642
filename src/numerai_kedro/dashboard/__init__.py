"""Figures, the page and the summary: what people look at. Below `pipelines`."""
