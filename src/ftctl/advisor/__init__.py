"""Whether to tune, where, and why: a pure function from features, goal and catalog to routes."""
