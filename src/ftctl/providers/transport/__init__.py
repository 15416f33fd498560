"""How drivers ask over HTTP: one connection, one meaning for each answer."""
