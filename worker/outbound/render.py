"""From the CRM's event to the mail as it shall leave."""

from worker.events.decode import SendRequest
from worker.mail import message_id
from worker.mail.message import Message


def render(request: SendRequest, correlation_key: bytes | None) -> Message:
    """The same event gives the same mail each time, Message-ID included."""
    return Message(
        stamp=request.stamp,
        message_id=message_id.compose(request.email_id, request.stamp, request.sender.domain, correlation_key),
        sender=request.sender,
        subject=_subject(request.subject, request.tracking_token),
        to=request.to,
        cc=request.cc,
        bcc=request.bcc,
        reply_to=request.reply_to,
        html=request.html,
        text=request.text,
        importance=request.importance,
        sensitivity=request.sensitivity,
        request_read_receipt=request.request_read_receipt,
        request_delivery_receipt=request.request_delivery_receipt,
        headers=request.headers,
        in_reply_to=request.in_reply_to,
        references=request.references,
        attachments=request.attachments,
    )


def _subject(subject: str, token: str) -> str:
    """The tracking token goes last, where replies keep it; a subject that holds it already stays as it is."""
    return subject if not token or token in subject else f"{subject} {token}".lstrip()
