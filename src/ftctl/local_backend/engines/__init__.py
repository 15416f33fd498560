"""Other programs that can do the training: what each is told, and how it is run."""
