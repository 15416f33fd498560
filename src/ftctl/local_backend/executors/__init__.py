"""Who starts, asks and stops the worker."""
