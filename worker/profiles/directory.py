"""Which way the mail of an address goes: a function of address and profiles, nothing else (docs/delivery-rules.md, rule
1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.mail.address import same_mailbox
from worker.mail.outcome import Reason, Scope
from worker.mail.transport import WorkingMailbox
from worker.profiles.model import Mailbox, Profile
from worker.settings import SecretReference


@dataclass(frozen=True, slots=True)
class Route:
    """How the mail of one sender leaves."""

    profile: Profile
    mailbox: Mailbox
    working: WorkingMailbox


@dataclass(frozen=True, slots=True)
class IncomingRoute:
    """How one mailbox is read."""

    profile: Profile
    mailbox: Mailbox
    working: WorkingMailbox


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and a password, where an account signs in by these."""

    username: str
    password: SecretReference


class Directory:
    """The profiles and mailboxes of one profiles file, checked by the loader."""

    def __init__(self, profiles: Sequence[Profile], mailboxes: Sequence[Mailbox]) -> None:
        self.profiles = {profile.name: profile for profile in profiles}
        self.mailboxes = {same_mailbox(mailbox.address): mailbox for mailbox in mailboxes}

    def outgoing(self, address: str) -> Route | Reason:
        """The route of a sender, or why there is none."""
        mailbox = self.entry(address)
        if mailbox is None or mailbox.outgoing is None:
            return Reason(
                "no-profile",
                Scope.MAILBOX,
                f"no mailbox entry with an outgoing profile covers {address}",
                f'add a [[mailbox]] with address = "{address}" and outgoing = "..." to the profiles, then '
                "'mailrouter dead replay ID'",
            )
        profile = self.profiles[mailbox.outgoing]
        if profile.credentials == "user-specified" and not mailbox.allow_credentials:
            return Reason(
                "credentials-not-allowed",
                Scope.MAILBOX,
                f"{address} does not allow the router to use its credentials (allow_credentials = false)",
                "allow it, or give the mailbox another profile, then 'mailrouter dead replay ID'",
            )
        if profile.sends_from_account and not mailbox.allow_send_on_behalf:
            return Reason(
                "send-on-behalf-not-allowed",
                Scope.MAILBOX,
                f"{address} does not allow others to send on its behalf (allow_send_on_behalf = false), and with "
                f'access = "{profile.access}" {profile.username} would send',
                "allow it, or give the mailbox a profile with impersonation or with its own credentials, then "
                "'mailrouter dead replay ID'",
            )
        working = profile.username if profile.sends_from_account else address
        assert working is not None
        return Route(profile, mailbox, WorkingMailbox(profile.name, same_mailbox(working)))

    def incoming(self) -> tuple[IncomingRoute, ...]:
        """Every mailbox that is to be read, and may be."""
        routes = (
            IncomingRoute(profile, mailbox, WorkingMailbox(profile.name, same_mailbox(mailbox.address)))
            for mailbox in self.mailboxes.values()
            if mailbox.incoming is not None
            for profile in (self.profiles[mailbox.incoming],)
        )
        withheld = self.withheld()
        return tuple(each for each in routes if each.profile.accept != "none" and each.mailbox.address not in withheld)

    def withheld(self) -> tuple[str, ...]:
        """Mailboxes that do not allow the router to use the credentials it would need to read them."""
        return tuple(
            mailbox.address
            for mailbox in self.mailboxes.values()
            if mailbox.incoming is not None
            and self.profiles[mailbox.incoming].credentials == "user-specified"
            and not mailbox.allow_credentials
        )

    def reaches(self, working: WorkingMailbox) -> bool:
        """Whether the profile is there, and knows who opens the mailbox."""
        profile = self.profiles.get(working.profile)
        if profile is None or profile.credentials == "other-specified":
            return profile is not None
        entry = self.entry(working.address)
        return entry is not None and entry.username is not None and entry.password is not None

    def credentials(self, working: WorkingMailbox) -> Credentials:
        """Whose name and password open a working mailbox."""
        profile = self.profiles[working.profile]
        holder = self.entry(working.address) if profile.credentials == "user-specified" else profile
        assert holder is not None
        assert holder.username is not None
        assert holder.password is not None
        return Credentials(holder.username, holder.password)

    def entry(self, address: str) -> Mailbox | None:
        """The most specific entry: the address itself, then its domain."""
        wanted = same_mailbox(address)
        return self.mailboxes.get(wanted) or self.mailboxes.get("*@" + wanted.rpartition("@")[2])
