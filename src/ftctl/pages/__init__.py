"""Pages that a person keeps: one file each, which needs nothing else."""
