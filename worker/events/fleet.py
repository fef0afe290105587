"""What a worker tells of itself when the fleet is asked, by `mailrouter status`.

Workers of several versions run side by side: what an answer does not say has a default, what it says beyond this is
ignored.
"""

from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MOST: Final = 500
"""So many mailboxes are in one answer; the counts tell of the rest."""

_TEXT_LENGTH: Final = 500

Text = Annotated[str, BeforeValidator(lambda text: text[:_TEXT_LENGTH] if isinstance(text, str) else text)]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class MailboxState(_Told):
    """One mailbox, or with `mailbox` "" a whole profile, or a `server` alone. Times are RFC 3339, "" for none.

    `state`: ok, polling (being read just now), new (not read yet), paused, or waiting (has sent what its limit
    allows). `tries`: how often it was tried in vain; `waiting`: about how many mails this worker has told to come back.
    """

    mailbox: Text = ""
    profile: Text = ""
    server: Text = ""
    state: Text = "ok"
    since: Text = ""
    code: Text = ""
    cause: Text = ""
    remedy: Text = ""
    next_at: Text = ""
    tries: int = 0
    waiting: int = 0
    last_sync_at: Text = ""


class OutboundState(_Told):
    """`paused` are senders, profiles and servers that this worker knows to be in trouble; `waiting` are mailboxes whose
    mail waits for its turn.
    """

    in_progress: int = 0
    paused: tuple[MailboxState, ...] = ()
    waiting: tuple[MailboxState, ...] = ()


class InboundState(_Told):
    """`polling`: what this worker reads just now. The rest is known to the scheduler alone: how many mailboxes are in
    each state, those that are in `trouble`, and `all`.
    """

    scheduler: bool = False
    polling: int = 0
    mailboxes: dict[str, int] = Field(default_factory=dict)
    trouble: tuple[MailboxState, ...] = ()
    all: tuple[MailboxState, ...] = ()


class WorkerState(_Told):
    """`outbound` and `inbound` are there where the worker has the role. `revision`: of the profiles it works by, "" for
    none yet; `fault`: why it does not work by those it was given last, "" if it does; `published`: whether it takes
    those that are published.
    """

    worker: Text
    version: Text = ""
    roles: tuple[Text, ...] = ()
    started_at: Text = ""
    profiles: int = 0
    revision: Text = ""
    fault: Text = ""
    published: bool = False
    outbound: OutboundState | None = None
    inbound: InboundState | None = None


def bounded(state: WorkerState, *, everything: bool) -> WorkerState:
    """As it is answered, which must not grow with the number of mailboxes."""
    outbound, inbound = state.outbound, state.inbound
    if outbound:
        outbound = outbound.model_copy(update={"paused": outbound.paused[:MOST], "waiting": outbound.waiting[:MOST]})
    if inbound:
        listed = tuple(sorted(inbound.all, key=lambda each: each.state != "paused")[:MOST]) if everything else ()
        inbound = inbound.model_copy(update={"trouble": inbound.trouble[:MOST], "all": listed})
    return state.model_copy(update={"outbound": outbound, "inbound": inbound})
