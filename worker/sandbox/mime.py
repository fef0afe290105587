"""An item as the Internet message it would leave as. Only made when somebody asks for it."""

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr

from worker.sandbox.item import Item, Recipient

_IMPORTANCE = {"Low": "low", "High": "high"}
_SENSITIVITY = {"Personal": "Personal", "Private": "Private", "Confidential": "Company-Confidential"}


def header_fields(item: Item) -> list[tuple[str, str]]:
    """The header fields of the mail, in the order they would stand in it."""
    fields = [
        ("From", _addresses((item.from_,) if item.from_ else ())),
        ("Sender", _addresses((item.sender,) if item.sender and item.sender != item.from_ else ())),
        ("To", _addresses(item.to)),
        ("CC", _addresses(item.cc)),
        ("Reply-To", _addresses(item.reply_to)),
        ("Subject", item.subject),
        ("Date", format_datetime(item.sent_at) if item.sent_at else ""),
        ("Message-ID", item.message_id),
        ("In-Reply-To", item.in_reply_to),
        ("References", item.references),
        ("Importance", _IMPORTANCE.get(item.importance, "")),
        ("Sensitivity", _SENSITIVITY.get(item.sensitivity, "")),
        ("Disposition-Notification-To", _addresses((item.from_,) if item.read_receipt and item.from_ else ())),
        *item.headers(),
    ]
    return [(name, value) for name, value in fields if value]


def render(item: Item) -> bytes:
    """The whole mail in MIME."""
    mail = EmailMessage(policy=SMTP)
    for name, value in header_fields(item):
        mail[name] = " ".join(value.split())
    mail.set_content(item.body, subtype="html" if item.body_type == "HTML" else "plain")
    for each in item.attachments:
        main, _, sub = (each.content_type or "application/octet-stream").partition("/")
        mail.add_attachment(
            each.content,
            maintype=main,
            subtype=sub or "octet-stream",
            filename=each.name or None,
            disposition="inline" if each.inline else "attachment",
            cid=f"<{each.content_id}>" if each.content_id else None,
        )
    return mail.as_bytes()


def _addresses(recipients: tuple[Recipient, ...]) -> str:
    return ", ".join(formataddr((each.name, each.address)) for each in recipients)
