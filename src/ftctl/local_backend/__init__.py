"""Training and chatting on this machine."""
