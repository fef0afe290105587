"""How this sandbox behaves where Exchange servers differ, and its limits. All may be changed while it runs."""

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

Way = Literal["basic", "ntlm", "negotiate", "bearer"]
WAYS: Final[tuple[Way, ...]] = get_args(Way)


@dataclass(slots=True)
class Dwell:
    """How long a submitted mail stays visible before its copy appears in the folder for sent mail.

    With `held`, it stays in that folder until `Exchange.release` lets it go on: for tests that need the moment.
    """

    in_drafts_seconds: float = 0.0
    in_outbox_seconds: float = 0.0
    held: Literal["no", "drafts", "outbox"] = "no"


@dataclass(slots=True)
class Autodiscover:
    """What Autodiscover answers. Targets of redirects without a path keep path and query of the request."""

    json: bool = True
    soap: bool = True
    pox: bool = True
    """False for any of the three: HTTP 404."""
    ews_url: str = ""
    """What is told; by default the sandbox's own, as the client knows it."""
    ews_urls: dict[str, str] = field(default_factory=dict)
    """Likewise for single addresses, in lower case: mailboxes on other servers."""
    grouping: str = "SANDBOX-1"
    """GroupingInformation: mailboxes that share a server."""
    redirect: Literal["no", "http", "url", "address"] = "no"
    """http: HTTP 302. url: RedirectUrl in the answer, in JSON HTTP 302. address: RedirectAddr to anybody but the
    target, in JSON none."""
    redirect_to: str = ""
    plain_redirect_to: str = ""
    """Where a GET of `autodiscover.xml` is sent by HTTP 302, as domains do it over plain HTTP; HTTP 401 by default."""
    knows_addresses: bool = True
    """False: there is no such address, whichever is asked for."""


@dataclass(slots=True)
class Options:
    sign_in: tuple[Way, ...] = WAYS
    """The ways to sign in that are offered; others get HTTP 401."""
    extended_protection: Literal["off", "allow", "require"] = "allow"
    """What NTLM over TLS must say of its channel: nothing; nothing or what is right; what is right (on by default in
    Exchange SE)."""
    ews_enabled: bool = True
    """False: HTTP 403 for everybody (the organisation's EwsEnabled)."""
    ews_allowed_app_ids: tuple[str, ...] | None = None
    """HTTP 403 for applications not among them (the organisation's EwsAllowedAppIDs); None for no such list."""
    token_seconds: int = 3600
    """How long an access token is valid."""
    tokens_given: bool = True
    """False: the token endpoint is not available (HTTP 503)."""
    max_request_bytes: int = 64 * 2**20
    """IIS' limit of an EWS request; beyond it, HTTP 413."""
    max_message_bytes: int = 35 * 2**20
    """Beyond it, ErrorMessageSizeExceeded when the mail is sent (Exchange Online's default for sending)."""
    max_recipients: int = 500
    """Beyond it, ErrorExceededMaxRecipientLimit when the mail is sent."""
    max_mailbox_bytes: int | None = None
    """Beyond it, ErrorQuotaExceeded when something is created."""
    message_id: Literal["keep", "refuse", "overwrite"] = "keep"
    """What becomes of an InternetMessageId the client sets: kept, refused with ErrorInvalidPropertySet, or kept on
    the draft and replaced by the server's own when the mail is sent."""
    dwell: Dwell = field(default_factory=Dwell)
    autodiscover: Autodiscover = field(default_factory=Autodiscover)
    find_limit: int = 1000
    """Rows a page of FindItem holds at most, whatever was asked (EWSFindCountLimit)."""
    find_pause_seconds: float = 0.0
    """Pause between two folders of one FindItem, in which other requests are served. Even with 0 they come in between:
    Exchange reads the folders one after another, too."""
    messages_per_minute: int | None = None
    """Mails a mailbox may send in any 60 seconds; None for no limit."""
    beyond_rate: Literal["refuse", "queue"] = "refuse"
    """refuse: ErrorServerBusy with BackOffMilliseconds (a throttling policy). queue: taken, and kept in the Outbox
    until the mailbox may send again (Exchange Online)."""
    back_off_milliseconds: int = 1000
    """What BackOffMilliseconds says where no limit decides it."""
    retry_after_seconds: int = 1
    slow_seconds: float = 3.0
    """How long the fault "slow" keeps the answer back."""
    deliver_locally: bool = True
    """Whether mail to mailboxes of this sandbox appears in their Inbox."""
    accepts_submitted: bool = False
    """Whether SendItem sends an item again that is submitted already and named by its newest ChangeKey. Some servers
    may; then nothing but the ChangeKey guards against two mails."""
    tells_submitted: bool = True
    """False: FindItem leaves out whether an item is submitted, as servers may that are not Exchange."""
    delete_kills_submitted: bool = True
    """Whether deleting a submitted item that has not left yet takes the mail back, for good."""
    sync_limit: int = 512
    """Changes one SyncFolderItems tells at most, whatever was asked."""
    sync_state_characters: int = 400
    """How long a sync state is at least; Exchange's are up to some thousands."""
    most_gone: int = 100_000
    """Of so many removed items a folder remembers that they were there; a sync state older than that is not known any
    more (ErrorInvalidSyncStateData). Only counts before the start."""
    notifications: Literal["sent", "lost", "refused"] = "sent"
    """lost: subscriptions are taken and nothing is ever told. refused: none are taken (ErrorServerBusy)."""
    keep_alive_seconds: float = 45.0
    """How often an idle connection for notifications shows that it is alive."""
    connection_minute_seconds: float = 60.0
    """How long a minute of ConnectionTimeout lasts."""
    subscriptions_per_mailbox: int = 20
    """Beyond it, ErrorExceededSubscriptionCount (Exchange Online's limit, counted on the mailbox)."""
    subscription_minutes: float = 30.0
    """A subscription nobody listens to for so long is forgotten."""
    connections_per_account: int = 10
    """Open connections for notifications; beyond it, ErrorExceededConnectionCount (HangingConnectionLimit)."""
