"""ReplyToItem, ReplyAllToItem, ForwardItem: a mail made of another (EWS reference, "Respond to email messages").

What the request leaves out comes from that mail: the subject, to whom, and below the new text what was written.
"""

import html
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from worker.sandbox import reading
from worker.sandbox.conversations import topic
from worker.sandbox.item import Item, Property, Recipient
from worker.sandbox.shape import plain_text, shown
from worker.sandbox.soap import Element, Fault, Refusal, local, t


@dataclass(frozen=True, slots=True)
class Kind:
    """What becomes of the subject, and what the other mail shows then: PidTagLastVerbExecuted, PidTagIconIndex
    (MS-OXOMSG).
    """

    prefix: str
    verb: int
    icon: int


KINDS: Final = {
    "ReplyToItem": Kind("RE: ", 102, 261),
    "ReplyAllToItem": Kind("RE: ", 103, 261),
    "ForwardItem": Kind("FW: ", 104, 262),
}


def reference(element: Element) -> Element:
    """The id of the mail that is answered or forwarded. Raises Fault."""
    found = element.find(t("ReferenceItemId"))
    if found is None:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: ReferenceItemId is missing.")
    return found


def response(element: Element, original: Item, own: frozenset[str]) -> Item:
    """The new mail. `own`: addresses in lower case that are left out when all are answered. Raises Refusal
    ErrorInvalidReferenceItem, Fault.
    """
    kind = local(element)
    if original.is_draft and kind != "ForwardItem":
        raise Refusal("ErrorInvalidReferenceItem", "A draft cannot be answered.")
    reading.check_order(element, _POSITION)
    item = Item(
        subject=KINDS[kind].prefix + topic(original.subject),
        in_reply_to=original.message_id,
        references=" ".join([*(original.references or original.in_reply_to).split(), original.message_id]).strip(),
    )
    if kind != "ForwardItem":
        item.to, item.cc = _answered(original, own if kind == "ReplyAllToItem" else None)
    fields = {local(child): child for child in element}
    _write(item, original, fields.pop("Body", None), fields.pop("NewBodyContent", None))
    for name in _OF_A_MESSAGE & fields.keys():
        reading.set_field(item, fields[name])
    pictures = item.body_type == "HTML"
    item.attachments = [each for each in original.attachments if kind == "ForwardItem" or (pictures and each.inline)]
    return item


def mark(original: Item, kind: str, now: datetime) -> None:
    """The mail shows what was done with it."""
    original.properties |= {
        ("tag", 0x1081): Property("Integer", str(KINDS[kind].verb)),
        ("tag", 0x1082): Property("SystemTime", shown(now, "seconds")),
        ("tag", 0x1080): Property("Integer", str(KINDS[kind].icon)),
    }


def _answered(original: Item, leave_out: frozenset[str] | None) -> tuple[tuple[Recipient, ...], tuple[Recipient, ...]]:
    """To and Cc of an answer: to the sender alone where nothing is said of whom to leave out."""
    sender = original.from_ or original.sender
    to = original.reply_to or ((sender,) if sender else ())
    if leave_out is None:
        return to, ()
    known = set(leave_out)
    found = []
    for people in (to + original.to, original.cc):
        others = {each.address.casefold(): each for each in people if each.address.casefold() not in known}
        known |= others.keys()
        found.append(tuple(others.values()))
    return found[0], found[1]


def _write(item: Item, original: Item, body: Element | None, new: Element | None) -> None:
    """The new text, in its own format, and below it the `Body` that was given or else what is answered."""
    below = Item()
    if body is not None:
        reading.set_field(below, body)
    if body is not None and new is None:
        item.body, item.body_type = below.body, below.body_type
        return
    item.body_type = original.body_type
    if new is not None:
        reading.set_body(item, new)
    if item.body_type == "HTML":
        quoted = _markup(below) if body is not None else f"<hr>{_heading(original, '<br>')}<br><br>{_markup(original)}"
        item.body = f"<html><body>{_markup(item)}{quoted}</body></html>"
    else:
        quoted = (
            _plain(below) if body is not None else f"{_RULE}{_heading(original, _LINE)}{_LINE * 2}{_plain(original)}"
        )
        item.body += quoted


def _heading(original: Item, line: str) -> str:
    """Who wrote it, when, to whom: each on its line."""
    people = {"To": original.to, "Cc": original.cc}
    fields = {
        "From": _named(original.from_ or original.sender),
        "Sent": f"{original.sent_at:%A, %d %B %Y %H:%M} (UTC)" if original.sent_at else "",
        **{name: "; ".join(map(_named, each)) for name, each in people.items()},
        "Subject": original.subject,
    }
    markup = line == "<br>"
    return line.join(f"{name}: {html.escape(value) if markup else value}" for name, value in fields.items() if value)


def _named(person: Recipient | None) -> str:
    if person is None:
        return ""
    return f"{person.name} <{person.address}>" if person.name else person.address


def _markup(item: Item) -> str:
    """What stands between the body's tags."""
    if item.body_type != "HTML":
        return "<br>".join(html.escape(item.body).splitlines())
    begin, end = _BODY.search(item.body), item.body.lower().rfind("</body")
    return item.body[begin.end() if begin else 0 : end if end >= 0 else None]


def _plain(item: Item) -> str:
    return plain_text(item.body) if item.body_type == "HTML" else item.body


_LINE: Final = "\r\n"
_RULE: Final = f"{_LINE * 2}{'_' * 32}{_LINE}"
_BODY: Final = re.compile(r"<body\b[^<>]*>", re.IGNORECASE)
_OF_A_MESSAGE: Final = frozenset(
    """Subject ToRecipients CcRecipients BccRecipients IsReadReceiptRequested IsDeliveryReceiptRequested
    From""".split()  # noqa: SIM905 - reads as text
)
_ORDER: Final = """Subject Body ToRecipients CcRecipients BccRecipients IsReadReceiptRequested
IsDeliveryReceiptRequested From ReferenceItemId NewBodyContent ReceivedBy
ReceivedRepresenting""".split()  # noqa: SIM905 - likewise
_POSITION: Final = {t(name): position for position, name in enumerate(_ORDER)}
"""The schema's order (types.xsd, SmartResponseType)."""
