"""One small pure function per rule, and the table that says who applies it how strictly."""
