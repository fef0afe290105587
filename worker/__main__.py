"""`python -m worker` is the command `mailrouter`."""

from worker.cli import main

main()
