"""The command line: one file a noun or verb; `render` alone formats for people."""
