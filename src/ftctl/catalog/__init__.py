"""Facts with a date and a source: providers, models, prices, GPUs."""
