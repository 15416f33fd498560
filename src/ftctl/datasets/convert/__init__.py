"""Datasets from one format to another, line by line, with all that can't be carried listed."""
