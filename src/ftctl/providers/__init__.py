"""Places that can run a job: eight verbs each, no facts."""
