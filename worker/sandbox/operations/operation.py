"""What every operation offers to the server, and the loop that batch operations share."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.faults import Subject
from worker.sandbox.soap import Answer, Refusal, local, refused, success, t

Asked = TypeVar("Asked")
Handle = Callable[[Exchange, Call], Awaitable[Answer]]
Subjects = Callable[[Exchange, Call], Sequence[Subject]]


def asking_mailbox(_exchange: Exchange, call: Call) -> Sequence[Subject]:
    """The subject of an operation that carries no mail: whoever asks."""
    return [Subject(frozenset({call.user.key}), call.user.key)]


def named_mailboxes(exchange: Exchange, call: Call) -> Sequence[Subject]:
    """Whoever asks, and the mailboxes whose folders are named."""
    addresses = {call.user.key}
    for element in call.element.iter(t("DistinguishedFolderId"), t("FolderId")):
        if local(element) == "FolderId":
            folder = exchange.store.folders.get(element.get("Id") or "")
            named = folder.mailbox.address if folder is not None else ""
        else:
            named = element.findtext(f"{t('Mailbox')}/{t('EmailAddress')}") or ""
        addresses.add(named.strip().casefold())
    if addresses <= {call.user.key, ""}:
        return asking_mailbox(exchange, call)
    return [Subject(frozenset(addresses - {""}), "".join(sorted(addresses)))]


@dataclass(frozen=True, slots=True)
class Operation:
    handle: Handle
    subjects: Subjects = asking_mailbox


def each(operation: str, asked: Iterable[Asked], act: Callable[[Asked], str], empty: str = "") -> list[str]:
    """One response message for each thing asked: what `act` gives is inside, a Refusal it raises is the answer for
    that one alone. What can raise a Fault is read before: a request that breaks the schema does nothing at all.
    """
    messages: list[str] = []
    stopped = False
    for one in asked:
        if stopped:
            stop = Refusal("ErrorBatchProcessingStopped", "The batch was stopped before this item.")
            messages.append(refused(operation, stop, empty))
            continue
        try:
            messages.append(success(operation, act(one)))
        except Refusal as refusal:
            messages.append(refused(operation, refusal, empty))
            stopped = refusal.stops_batch
    return messages
