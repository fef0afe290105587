"""What is measured, and how. Each module is a command: `python -m benchmarks.NAME --help`."""
