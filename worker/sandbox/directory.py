"""Who there is, with which password, and which rights the administrator gave."""

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from worker.sandbox.application import Application

ALL: Final = "*"
State = Literal["ok", "password-expired", "locked", "disabled", "ews-disabled", "moving", "moved", "gone", "quota"]
"""Of the account, when it signs in: a password that is right and too old, an account locked or disabled. Of the
mailbox: no EWS for it, on its way to another database, on another server since, deleted, full."""
STATES: Final[tuple[State, ...]] = get_args(State)
RIGHTS: Final = ("impersonates", "full_access", "send_as", "send_on_behalf")


@dataclass(slots=True, eq=False)
class User:
    """An account and its mailbox. The rights name the mailboxes they hold for, in lower case, or `*` for all."""

    address: str
    password: str
    name: str = ""
    has_mailbox: bool = True
    state: State = "ok"
    is_application: bool = False
    """Not a person: an application with its token, which always acts for somebody."""
    impersonates: set[str] = field(default_factory=set)
    full_access: set[str] = field(default_factory=set)
    send_as: set[str] = field(default_factory=set)
    send_on_behalf: set[str] = field(default_factory=set)

    @property
    def key(self) -> str:
        return self.address.casefold()

    def may(self, right: set[str], address: str) -> bool:
        """Whether one of this user's rights reaches a mailbox; a plus address has the rights of its mailbox."""
        key = address.casefold()
        return ALL in right or key in right or _base(key) in right


class Directory:
    """All users. In an *open* domain every address is a user, from its first use on; plus addresses of a known user
    are users, too (with mailboxes of their own), so that a fault can be ordered for a sender.
    """

    def __init__(self, open_domains: tuple[str, ...] = (), open_password: str = "sandbox") -> None:  # noqa: S107 - it guards nothing
        self.users: dict[str, User] = {}
        self.open_domains = {each.casefold() for each in open_domains}
        self.open_password = open_password
        self.applications: dict[str, Application] = {}
        """By their ids in lower case."""

    def add(self, user: User) -> User:
        self.users[user.key] = user
        return user

    def register(self, application: Application) -> Application:
        self.applications[application.client_id.casefold()] = application
        return application

    def find(self, address: str) -> User | None:
        key = address.casefold()
        found = self.users.get(key)
        if found is None and (base := self.users.get(_base(key))) is not None:
            found = self.add(User(address, base.password, base.name))
        if found is None and key.rpartition("@")[2] in self.open_domains and not key.startswith("@"):
            found = self.add(User(address, self.open_password, key.partition("@")[0].capitalize()))
        return found

    def sign_in(self, username: str, password: str) -> User | None:
        user = self.named(username)
        return user if user is not None and user.password == password else None

    def named(self, username: str) -> User | None:
        r"""By address, or by the Windows form `DOMAIN\name` where one local part fits."""
        name = username.rpartition("\\")[2]
        if "@" not in name:
            fitting = [each.address for each in self.users.values() if each.key.partition("@")[0] == name.casefold()]
            name = fitting[0] if len(fitting) == 1 else name
        return self.find(name) if "@" in name else None


def _base(key: str) -> str:
    name, _, domain = key.rpartition("@")
    return f"{name.partition('+')[0]}@{domain}"
