"""`python -m profcore`."""

from profcore.cli import main

main()
