"""How one server is reached, and as whom: all that this package needs to know of a profile."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from worker.ews.parties import Parties
from worker.profiles.model import is_loopback
from worker.settings import SecretReference


@dataclass(frozen=True, slots=True)
class BasicSignIn:
    """Clear text: user name and password in every request. The password is resolved when it is needed."""

    username: str
    password: SecretReference


@dataclass(frozen=True, slots=True)
class NtlmSignIn:
    r"""NTLM: user name (`DOMAIN\user` or `user@domain`) and password prove themselves to a connection, which then
    stays signed in.
    """

    username: str
    password: SecretReference


@dataclass(frozen=True, slots=True)
class OAuthSignIn:
    """OAuth 2.0 client credentials: an application signs in at `authority`/`tenant_id`, by a secret or by a
    certificate (PEM, private key and certificate in one); exactly one of the two is there. `scope` is what the token
    is asked for.
    """

    authority: str
    tenant_id: str
    client_id: str
    scope: str
    client_secret: SecretReference | None = None
    certificate: SecretReference | None = None


Account = BasicSignIn | NtlmSignIn | OAuthSignIn


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`own_credentials`: the account is the working mailbox's own, so a failed sign-in is that mailbox's trouble.
    `shared_mailbox`: the working mailbox is the account's, and holds the mail of all senders of the profile.

    `impersonate`: the account acts as the working mailbox (ExchangeImpersonation). `ca_file`: a PEM file with the CAs
    to trust in place of the system's. `url` is "" where Autodiscover is to find it, for each mailbox.

    `online`: Exchange Online, else a server of one's own. `on_behalf`: the account sends on behalf of others.
    """

    profile: str
    url: str
    sign_in: Account
    impersonate: bool = False
    own_credentials: bool = False
    shared_mailbox: bool = False
    ca_file: str | None = None
    timeout_seconds: float = 60.0
    online: bool = False
    on_behalf: bool = False

    def parties(self, mailbox: str) -> Parties:
        """Whom a trouble with this working mailbox is about."""
        application = self.sign_in.client_id if isinstance(self.sign_in, OAuthSignIn) else ""
        username = "" if isinstance(self.sign_in, OAuthSignIn) else self.sign_in.username
        parts = urlsplit(self.url)
        return Parties(
            account=mailbox if self.shared_mailbox else username or application,
            application=application,
            mailbox=mailbox,
            sender="" if self.shared_mailbox else mailbox,
            server=self.server,
            endpoint=f"{parts.hostname}:{parts.port or 443}" if parts.hostname else "",
            online=self.online,
            on_behalf=self.on_behalf,
        )

    @property
    def server(self) -> str:
        """Host and port, for people; or how they are found."""
        return urlsplit(self.url).netloc.rpartition("@")[2] or "Autodiscover"

    @property
    def way(self) -> str:
        """How the account signs in, as HTTP calls it."""
        match self.sign_in:
            case BasicSignIn():
                return "basic"
            case NtlmSignIn():
                return "ntlm"
            case OAuthSignIn():
                return "bearer"

    @property
    def guards_secrets(self) -> bool:
        """Whether a password may be sent there as it is: over TLS, or without leaving this machine."""
        parts = urlsplit(self.url)
        return parts.scheme == "https" or is_loopback(parts.hostname or "")
