"""A line of requests that may not go yet: each is given the moment when it is to come back, one behind the other."""

from dataclasses import dataclass


@dataclass(slots=True)
class Line:
    """Nobody stands in it: the broker holds the requests. `ends_at`: the moment of whoever came last, monotonic."""

    ends_at: float = 0.0

    def place(self, earliest: float, spacing: float) -> float:
        """The moment for the next one: not before `earliest`, nor sooner than `spacing` seconds behind the last."""
        self.ends_at = max(earliest, self.ends_at + spacing)
        return self.ends_at

    def length(self, now: float, spacing: float) -> int:
        """About how many are still to come back."""
        return max(0, round((self.ends_at - now) / spacing)) if spacing else 0
