"""OpenAI's fine-tuning wire, and everybody who speaks it: one driver, a profile for each vendor."""
