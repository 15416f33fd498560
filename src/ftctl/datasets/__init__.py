"""Datasets: read, check against each provider's rules, split, render."""
