"""The conformance kit: one contract for every provider, and vendors that answer on loopback."""
