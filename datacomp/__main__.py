"""`python -m datacomp` is the `datacomp` command."""

from datacomp.cli import main

main()
