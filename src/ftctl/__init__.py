"""Decide whether, where and how to fine-tune a model, then run it anywhere."""

__version__ = "0.1.0"
