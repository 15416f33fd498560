"""The way of most lines: decoded by type, found clean by cheap tests, and done.

A line that this package can't vouch for goes through every rule (`ftctl.datasets.examine`), so
that what is found never depends on which way a line took.
"""
