"""The library: what the command line does, for product code."""
