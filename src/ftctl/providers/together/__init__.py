"""Together: fine-tuning, files and weights over plain HTTP."""
