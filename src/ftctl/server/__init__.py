"""OpenAI's wire over this machine's jobs and models: `ftctl serve`."""
