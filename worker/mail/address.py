"""A mail address as events, profiles and messages carry it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox of a person or a system. `address` is an RFC 5321 mailbox (`local@domain`), never empty."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def same_mailbox(address: str) -> str:
    """The form under which two spellings of one mailbox compare equal; Exchange ignores case."""
    return address.casefold()
