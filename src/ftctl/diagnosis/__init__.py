"""What a job's curves show and what its error means, in plain words; pure."""
