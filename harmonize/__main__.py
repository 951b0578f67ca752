"""`python -m harmonize` is the command `harmonize`."""

from harmonize.cli import main

main()
