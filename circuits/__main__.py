"""`python -m circuits` is the command `circuits`."""

from circuits.cli import main

main()
