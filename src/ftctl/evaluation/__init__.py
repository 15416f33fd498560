"""Score answers, and say with an interval whether one model is better than another."""
