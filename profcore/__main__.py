"""`python -m profcore`."""

from profcore.cli.parser import main

main(program="python -m profcore")
