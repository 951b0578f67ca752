"""`python -m harmonize` is the command `harmonize`."""

from harmonize.cli.app import main

main()
