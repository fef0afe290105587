"""Fleets of processes, as the scenarios have them."""

from tests.scenarios.conftest import start_fleet

__all__ = ["start_fleet"]
