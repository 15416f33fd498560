"""Fireworks: datasets, jobs and signed links over plain HTTP."""
