"""How the mailboxes of the profiles are reached, and as whom: from the words of the profiles to those of EWS."""

from urllib.parse import urlsplit

from worker.ews.connect_to import ConnectTo
from worker.ews.endpoint import Account, BasicSignIn, Endpoint, NtlmSignIn, OAuthSignIn
from worker.mail.transport import WorkingMailbox
from worker.profiles.book import Book
from worker.profiles.directory import Directory
from worker.settings import Settings


def resolver(settings: Settings) -> ConnectTo | None:
    """Where connections to Exchange go, if not where the name service says. Within the event loop."""
    return ConnectTo({each.place: each.there for each in settings.connect_to}) if settings.connect_to else None


def server_of(book: Book, mailbox: WorkingMailbox) -> str:
    """The server that a mailbox is on, as far as the profiles tell."""
    directory = book.directory_of(mailbox)
    profile = directory.profiles.get(mailbox.profile) if directory else None
    host = urlsplit(profile.location).netloc if profile else ""
    return host or f"the server of {mailbox.profile}"


def endpoint(book: Book, mailbox: WorkingMailbox, settings: Settings) -> Endpoint | None:
    """How the server of a working mailbox is reached, and as whom; None where no profiles tell any more."""
    directory = book.directory_of(mailbox)
    if directory is None:
        return None
    profile = directory.profiles[mailbox.profile]
    return Endpoint(
        profile=profile.name,
        url=profile.location,
        sign_in=account(directory, mailbox),
        impersonate=profile.impersonates,
        own_credentials=profile.credentials == "user-specified",
        shared_mailbox=profile.sends_from_account,
        ca_file=str(profile.ca_file) if profile.ca_file else None,
        timeout_seconds=settings.ews_timeout_seconds,
        online=profile.server == "exchange-online",
        on_behalf=profile.access == "delegate" and profile.sends_from_account,
    )


def account(directory: Directory, mailbox: WorkingMailbox) -> Account:
    """Who opens a working mailbox, and how that is proved."""
    profile = directory.profiles[mailbox.profile]
    if profile.authentication == "oauth2":
        assert profile.tenant_id is not None
        assert profile.client_id is not None
        return OAuthSignIn(
            authority=profile.authority,
            tenant_id=profile.tenant_id,
            client_id=profile.client_id,
            scope=profile.scope,
            client_secret=profile.client_secret,
            certificate=profile.certificate,
        )
    credentials = directory.credentials(mailbox)
    kind = NtlmSignIn if profile.authentication == "ntlm" else BasicSignIn
    return kind(credentials.username, credentials.password)
