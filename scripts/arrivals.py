"""Varied mail as it comes in from outside, by number and seed, so that any of it can be made again."""

import base64
import random
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

_NAMES = ("Xenia Customer", "Иван Петров", "田中 太郎", "O'Brien, Pat", "Zoë", "")
_SUBJECTS = ("A question", "Re: Your request", "見積もりについて", "RE: AW: Offer ⚡", "", 'Quotes " and <angles>')
_TEXT = (
    "Hello,\n\nwhere is my order? Best regards",
    "Привет! Спасибо за ответ.",
    "Grüße aus Köln — 5 € für alle.",
    "> You wrote:\n> anything\n\nYes, please.",
)


def arrival(number: int, mailbox: str, *, seed: int = 0, in_reply_to: str = "") -> bytes:
    """One mail, RFC 5322, with the Message-ID `<arrival-NUMBER@customer.example>`."""
    draw = random.Random(f"{seed}/{number}")
    mail = EmailMessage()
    name = draw.choice(_NAMES)
    mail["From"] = f'"{name}" <x{number}@customer.example>' if name else f"x{number}@customer.example"
    mail["To"] = mailbox
    mail["Subject"] = draw.choice(_SUBJECTS)
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = f"<arrival-{number:06d}@customer.example>"
    if in_reply_to:
        mail["In-Reply-To"] = mail["References"] = in_reply_to
    text = draw.choice(_TEXT)
    kind = draw.randrange(8)
    if kind in (5, 6, 7):
        mail["Auto-Submitted" if kind == 7 else "X-Campaign"] = "auto-replied" if kind == 7 else "autumn"  # noqa: PLR2004
    mail.set_content(text, charset=draw.choice(("utf-8", "utf-8", "utf-16")))
    if kind in (1, 2, 3):
        mail.add_alternative(f"<p>{text}</p>", subtype="html")
    if kind in (2, 4):
        data = draw.randbytes(draw.choice((0, 100, 5000, 300_000)))
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=f"datei-ä-{number}.bin")
    if kind == 3:  # noqa: PLR2004
        pixel = base64.b64decode("iVBORw0KGgo=")
        mail.add_attachment(
            pixel, maintype="image", subtype="png", filename="logo.png", disposition="inline", cid="<logo>"
        )
    if kind == 6:  # noqa: PLR2004
        inner = EmailMessage()
        inner["Subject"], inner["From"], inner["Message-ID"] = (
            "The mail inside",
            "y@customer.example",
            f"<inner-{number}@x>",
        )
        inner.set_content("inside")
        mail.add_attachment(inner)
    return mail.as_bytes()
