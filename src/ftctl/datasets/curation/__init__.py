"""Exports of tools in which people label examples, and of those that record what was served."""
