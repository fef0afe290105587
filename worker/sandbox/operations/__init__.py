"""The operations, one file each. A file offers `handle`, and what faults may be ordered for, as an `Operation`."""
