"""What a container runs first: the command `mailrouter`, able to be stopped from the beginning.

The kernel drops signals to a container's first process unless it handles them, and loading the command takes a second:
until the worker listens for SIGTERM itself, and in commands that never do, it ends the process.
"""

import signal
import sys

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

from worker.cli import main  # noqa: E402 - after the handler

main()
