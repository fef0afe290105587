"""Lines of requests that may not go yet: each is given the moment when it is to come back, one behind the other.

Nobody stands in them: the broker holds the requests. Moments are of the monotonic clock.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Line:
    """`begins_at`: the moment of whoever found nobody there, `ends_at`: of whoever came last."""

    begins_at: float = 0.0
    ends_at: float = 0.0
    spacing: float = 0.0

    def place(self, earliest: float, spacing: float) -> float:
        """The moment for the next one: not before `earliest`, nor sooner than `spacing` seconds behind the last."""
        self.spacing = spacing
        if earliest > self.ends_at + spacing:
            self.begins_at = self.ends_at = earliest
        else:
            self.ends_at += spacing
        return self.ends_at

    def length(self, now: float) -> int:
        """About how many are still to come back."""
        if self.ends_at <= now or not self.spacing:
            return int(self.ends_at > now)
        return max(1, round((self.ends_at - max(now, self.begins_at - self.spacing)) / self.spacing))

    def stretch(self, now: float, factor: float) -> None:
        """For those that come from now on, the line is so many times as long as it was."""
        self.ends_at = now + max(0.0, self.ends_at - now) * factor


def _two() -> dict[bool, Line]:
    return {False: Line(), True: Line()}


@dataclass(slots=True)
class Lines:
    """Of one mailbox, or one profile: those that came `new`, and those whose moment came and that found no room then
    (`late`); each for campaign mail (True) and other. Late ones go before new ones, other mail before a campaign.
    `limit`: so much a minute, None for no limit.
    """

    limit: int | None = None
    new: dict[bool, Line] = field(default_factory=_two)
    late: dict[bool, Line] = field(default_factory=_two)

    @property
    def ends_at(self) -> float:
        return max(each.ends_at for each in self._all())

    def free(self, now: float, *, bulk: bool, due: bool) -> bool:
        """Whether nobody stands before such a mail. `due`: it had its moment given, and comes for it."""
        return all(each.ends_at <= now for each in self._before(bulk=bulk, due=due))

    def place(self, earliest: float, spacing: float, *, bulk: bool, due: bool) -> float:
        """The moment for such a mail, behind whoever stands before it."""
        behind = max((each.ends_at for each in self._before(bulk=bulk, due=due)), default=earliest)
        return (self.late if due else self.new)[bulk].place(max(earliest, behind), spacing)

    def length(self, now: float) -> int:
        return sum(each.length(now) for each in self._all())

    def follow(self, limit: int | None, now: float) -> None:
        """The limit is so much now: what is left of the lines is as long as it would be by that one."""
        if self.limit and limit != self.limit:
            for each in self._all():
                each.stretch(now, self.limit / limit if limit else 0.0)
        self.limit = limit

    def _all(self) -> tuple[Line, ...]:
        return (*self.new.values(), *self.late.values())

    def _before(self, *, bulk: bool, due: bool) -> tuple[Line, ...]:
        others = (self.new[False], self.late[False]) if bulk else ()
        return others if due else (*others, self.new[bulk], self.late[bulk])
