"""Hugging Face: TRL on Jobs, AutoTrain in a Space, models and data on the Hub."""
