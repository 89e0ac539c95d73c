"""`python -m circuits` is the command `circuits`."""

import os
import sys

# Python puts the working directory first, whose modules would be run in the place of others.
if sys.path and os.path.realpath(sys.path[0]) == os.path.realpath(os.curdir):
    del sys.path[0]

from circuits.cli import main

main()
