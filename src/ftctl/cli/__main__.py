"""`python -m ftctl.cli` is the same as `ftctl`."""

from ftctl.cli.main import main

main()
