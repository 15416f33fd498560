"""What a job or a month of use takes in memory, time and money; no torch."""
