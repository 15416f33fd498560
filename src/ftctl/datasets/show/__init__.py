"""Examples as a model sees them: each token, and whether loss counts on it."""
