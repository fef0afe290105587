"""Faults to order: by a word in an address, by an order at run time, or by chance from a seed.

In an address: a tag `+WORD`, `+WORD-once`, `+WORD-3` (three times for one mail, then all is well) in the local part of
the sender or of a recipient; `+WORD-create`, `-send`, `-sync`, `-get` and so on (`OPERATIONS`) narrow it to one
operation (`anna+lost-send-once@contoso.example`). A mail is known by its people and by the mailbox it lies in, so a
mail from `x+corrupt@customer.example` cannot be read. Operations on folders carry no mail: there it is the mailbox
acted for, or named, that counts. Tags that are no such word are ordinary parts of the address, so
`anna+lost-once+17@...` may be one of many.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

Stage = Literal["before", "after", "item", "content", "state", "done"]
"""Where a fault strikes: the request before any work; the answer after the work; one item, refused (or the folder of an
operation on folders); one item, where its content is read; a folder, where a sync state is given; one item whose work
is done and whose answer says otherwise."""


@dataclass(frozen=True, slots=True)
class Kind:
    stage: Stage
    operations: frozenset[str]
    text: str
    code: str = ""
    """The response code of an item's refusal."""


_BOTH: Final = frozenset({"CreateItem", "SendItem"})
_CREATE: Final = frozenset({"CreateItem"})
_SEND: Final = frozenset({"SendItem"})
_GET: Final = frozenset({"GetItem"})
_SYNC: Final = frozenset({"SyncFolderItems"})

KINDS: Final[dict[str, Kind]] = {
    "busy": Kind("before", _BOTH, "HTTP 503 with Retry-After"),
    "busyfault": Kind("before", _BOTH, "HTTP 500 with the SOAP fault ErrorServerBusy and BackOffMilliseconds"),
    "busyanswer": Kind("item", _BOTH, "HTTP 200, ErrorServerBusy in the response message", "ErrorServerBusy"),
    "batchstop": Kind(
        "item", _BOTH, "the same, and ErrorBatchProcessingStopped for the rest of the batch", "ErrorServerBusy"
    ),
    "fault200": Kind("before", _BOTH, "SOAP fault ErrorInternalServerTransientError in HTTP 200"),
    "slow": Kind("before", _BOTH, "the answer comes late"),
    "cut": Kind("before", _BOTH, "the line is cut before the work"),
    "lost": Kind("after", _BOTH, "the work is done, then the line is cut"),
    "half": Kind("after", _BOTH, "the work is done, half of the answer comes"),
    "nonsense": Kind("after", _BOTH, "the work is done, the answer is not XML"),
    "html200": Kind("before", _BOTH, "HTTP 200 with an HTML page, as a proxy gives"),
    "html502": Kind("before", _BOTH, "HTTP 502 with an HTML page"),
    "unauthorized": Kind("before", _BOTH, "HTTP 401"),
    "forbidden": Kind("before", _BOTH, "HTTP 403"),
    "internal": Kind("item", _SEND, "ErrorInternalServerError", "ErrorInternalServerError"),
    "timeout": Kind("done", _SEND, "the work is done, the answer is ErrorTimeoutExpired", "ErrorTimeoutExpired"),
    "stale": Kind("item", _SEND, "the draft changes just before it is sent: ErrorStaleObject", "ErrorStaleObject"),
    "sendasdenied": Kind("item", _SEND, "ErrorSendAsDenied, the draft stays behind", "ErrorSendAsDenied"),
    "toolarge": Kind("item", _SEND, "ErrorMessageSizeExceeded", "ErrorMessageSizeExceeded"),
    "badrecipients": Kind("item", _SEND, "ErrorInvalidRecipients", "ErrorInvalidRecipients"),
    "toomany": Kind("item", _SEND, "ErrorExceededMaxRecipientLimit", "ErrorExceededMaxRecipientLimit"),
    "quota": Kind("item", _CREATE, "ErrorQuotaExceeded", "ErrorQuotaExceeded"),
    "gone": Kind("item", _CREATE, "ErrorNonExistentMailbox", "ErrorNonExistentMailbox"),
    "corrupt": Kind("item", _GET, "it cannot be read at all: ErrorItemCorrupt", "ErrorItemCorrupt"),
    "corruptbody": Kind(
        "content", _GET, "ErrorItemCorrupt where body, headers or MIME are asked for", "ErrorItemCorrupt"
    ),
    "corruptfile": Kind("item", frozenset({"GetAttachment"}), "its attachments: ErrorItemCorrupt", "ErrorItemCorrupt"),
    "vanished": Kind("item", _GET, "it is deleted just before it is read: ErrorItemNotFound", "ErrorItemNotFound"),
    "denied": Kind("item", _SYNC, "ErrorAccessDenied", "ErrorAccessDenied"),
    "forgotten": Kind(
        "state", _SYNC, "the sync state is not known: ErrorInvalidSyncStateData", "ErrorInvalidSyncStateData"
    ),
    "moving": Kind("item", _CREATE, "ErrorMailboxMoveInProgress", "ErrorMailboxMoveInProgress"),
}
OPERATIONS: Final = {
    "create": "CreateItem",
    "send": "SendItem",
    "update": "UpdateItem",
    "delete": "DeleteItem",
    "find": "FindItem",
    "get": "GetItem",
    "move": "MoveItem",
    "sync": "SyncFolderItems",
    "attachment": "GetAttachment",
    "getconfig": "GetUserConfiguration",
    "createconfig": "CreateUserConfiguration",
    "updateconfig": "UpdateUserConfiguration",
    "conversation": "GetConversationItems",
    "subscribe": "Subscribe",
    "stream": "GetStreamingEvents",
}
"""The word of an operation in a tag."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about, as far as faults go: the addresses, and a name under which repeats are counted (the
    mail's stamp, say).
    """

    addresses: frozenset[str]
    key: str


@dataclass(slots=True)
class Order:
    """A fault ordered at run time. `mailbox`, `domain`: for which addresses (any, if both are empty). `operation`:
    EWS name, empty for those of the kind. `times`: how often in all, None for always.
    """

    kind: str
    operation: str = ""
    mailbox: str = ""
    domain: str = ""
    times: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind}; there are {', '.join(KINDS)}")

    def strikes(self, operation: str, subject: Subject) -> bool:
        if self.times == 0 or not _applies(self.kind, self.operation, operation):
            return False
        if self.mailbox:
            return self.mailbox.casefold() in subject.addresses
        if self.domain:
            return any(each.endswith("@" + self.domain.casefold()) for each in subject.addresses)
        return True


@dataclass(frozen=True, slots=True)
class _Tag:
    text: str
    kind: str
    operation: str
    times: int | None


class Faults:
    """All the faults of one sandbox. `rates`: kind → operation, or `*` for every operation → share of the requests.

    Chance is deterministic: the n-th request of an operation meets the same fate under the same seed and rates.
    """

    def __init__(self, seed: int = 0, rates: Mapping[str, Mapping[str, float]] | None = None) -> None:
        self.orders: list[Order] = []
        self.struck: Counter[str] = Counter()
        """How often each kind struck, for the statistics."""
        self._counts: Counter[tuple[str, str]] = Counter()
        self.reseed(seed, rates or {})

    def reseed(self, seed: int, rates: Mapping[str, Mapping[str, float]]) -> None:
        """Begin a new sequence of chance. Raises ValueError for an unknown kind or one that is not of requests."""
        for kind in rates:
            if kind not in KINDS or KINDS[kind].stage not in ("before", "after"):
                raise ValueError(f"not a fault of requests: {kind}")
        self.seed = seed
        self.rates = {kind: dict(shares) for kind, shares in rates.items()}
        self._chance: dict[str, random.Random] = {}

    def of_request(self, operation: str, subjects: Sequence[Subject]) -> str | None:
        """The fault of the whole request, if one is due; to be called once for each request."""
        for subject in subjects:
            kind = self._due(operation, subject, ("before", "after"))
            if kind is not None:
                return kind
        return self._by_chance(operation)

    def of_item(self, operation: str, subject: Subject, stage: Stage) -> str | None:
        """The fault of one item, if one is due; to be called once for each item and stage."""
        return self._due(operation, subject, (stage,))

    def _due(self, operation: str, subject: Subject, stages: tuple[Stage, ...]) -> str | None:
        for order in self.orders:
            if KINDS[order.kind].stage in stages and order.strikes(operation, subject):
                if order.times is not None:
                    order.times -= 1
                self.struck[order.kind] += 1
                return order.kind
        for tag in _tags(subject.addresses):
            if KINDS[tag.kind].stage not in stages or not _applies(tag.kind, tag.operation, operation):
                continue
            if tag.times is not None:
                if self._counts[tag.text, subject.key] >= tag.times:
                    continue
                self._counts[tag.text, subject.key] += 1
            self.struck[tag.kind] += 1
            return tag.kind
        return None

    def _by_chance(self, operation: str) -> str | None:
        chance = None
        for kind in self.rates:
            rate = self.rates[kind].get(operation, self.rates[kind].get("*", 0.0))
            if chance is None:
                chance = self._chance.setdefault(operation, random.Random(f"{self.seed} {operation}"))  # noqa: S311 - a replayable sequence is wanted
            if chance.random() < rate:
                self.struck[kind] += 1
                return kind
        return None


def _applies(kind: str, ordered: str, operation: str) -> bool:
    return operation == ordered if ordered else operation in KINDS[kind].operations


def _tags(addresses: Iterable[str]) -> list[_Tag]:
    found: dict[str, _Tag] = {}
    for address in addresses:
        if "+" in address:
            found.update((each.text, each) for each in _tags_of(address))
    return [found[text] for text in sorted(found)]


@lru_cache(maxsize=4096)
def _tags_of(address: str) -> tuple[_Tag, ...]:
    parts = address.rpartition("@")[0].split("+")[1:]
    return tuple(tag for tag in map(_tag, parts) if tag is not None)


def _tag(text: str) -> _Tag | None:
    kind, *narrowings = text.split("-")
    if kind not in KINDS:
        return None
    operation, times = "", None
    for each in narrowings:
        if each in OPERATIONS:
            operation = OPERATIONS[each]
        elif each == "once":
            times = 1
        elif each.isdecimal():
            times = int(each)
        else:
            return None
    return _Tag(text, kind, operation, times)
