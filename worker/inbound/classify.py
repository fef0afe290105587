"""What sort of mail it is, and whether a machine wrote it.

Exchange's class comes first: it has looked at the parts. Then what programs write into headers, each for itself
(RFC 3834 came late, and not to all), and last the beginnings of subjects that the usual programs put there.
"""

import re
from typing import Final

from worker.events.received import Kind
from worker.inbound.header import MEETING_METHODS, parameters
from worker.mail.incoming import IncomingMail
from worker.mail.report import Report

_AUTO_REPLY_CLASSES: Final = (
    "ipm.note.rules.ooftemplate",
    "ipm.note.rules.externalooftemplate",
    "ipm.note.rules.replytemplate",
)
_MACHINE_CLASSES: Final = ("ipm.note.storagequotawarning", "ipm.outlook.recall", "ipm.recall.report")
_MEETING_CLASSES: Final = ("ipm.schedule.meeting", "ipm.appointment")
_MEETING_METHOD: Final = re.compile(rf"method=\"?(?:{'|'.join(sorted(MEETING_METHODS))})\b", re.IGNORECASE)

_ANSWERS: Final = ("auto-reply", "auto_reply", "autoreply", "auto-replied")
"""What stands in `Precedence` and its variants of some mail programs' automatic answers."""

_ANSWER_FIELDS: Final = ("X-Autoreply", "X-Autorespond", "X-AutoReply-From", "X-Mail-Autoreply")
_MACHINE_FIELDS: Final = (
    "Feedback-ID",
    "List-Id",
    "List-Post",
    "List-Unsubscribe",
    "X-Cron-Env",
    "X-FC-MachineGenerated",
    "X-Failed-Recipients",
)
_MACHINE_PRECEDENCES: Final = ("bulk", "list", "junk", *_ANSWERS)
_SUPPRESSED: Final = re.compile(r"\b(?:all|oof|autoreply)\b", re.IGNORECASE)

_POSTMASTERS: Final = re.compile(
    r"mailer-?daemon|postmaster|mail-?system|mail(?:er)?[._-]?delivery.*|microsoftexchange[0-9a-f]{32}|double-bounce|qmailr?",
    re.IGNORECASE,
)
_AUTO_REPLY_SUBJECT: Final = re.compile(
    r"(?:auto(?:matic|mated|mat)?[ -]?(?:reply|response|svar|antwort)|out of (?:the )?office(?: auto-?reply)?"
    r"|automatische antwort|abwesenheitsnotiz|réponse automatique|absence du bureau|respuesta automática"
    r"|fuera de la oficina|risposta automatica|fuori sede|resposta automática|automatisch antwoord|autosvar"
    r"|automatiskt? svar|automaattinen vastaus|odpowiedź automatyczna|autoodpowiedź|automatická odpověď"
    r"|automatikus válasz|răspuns automat|samodejni odgovor|automatski odgovor|otomatik yanıt"
    r"|автоматический ответ|автоответ|автоматична відповідь"
    r"|αυτόματη απάντηση|תשובה אוטומטית|رد تلقائي|自動応答|自动答复|自动回复|自動回覆|자동 회신)"
    r"\s*(?:[:：!-]|$)",
    re.IGNORECASE,
)
_BOUNCE_SUBJECT: Final = re.compile(
    r"(?:undeliver(?:able|ed)|returned mail|returned to sender|failure notice|mail delivery (?:failed|failure)"
    r"|delivery (?:failure|has failed)|delivery status notification \(failure\)|mail system error - returned mail"
    r"|non[- ]?remis|échec de la remise|unzustellbar|nicht zustellbar|no se puede entregar|onbestelbaar"
    r"|recapito non riuscito|não é possível entregar|kan inte levereras|niedostarczalne|nie można dostarczyć"
    r"|не удается доставить|недоставленное|配信不能|无法送达|無法傳遞|배달되지 않음)",
    re.IGNORECASE,
)
_DELAY_SUBJECT: Final = re.compile(
    r"(?:warning: (?:message|could not send)|delayed mail|delivery (?:delayed|is delayed)|message delayed"
    r"|delivery status notification \(delay\)|verzögert|livraison retardée|still being retried)",
    re.IGNORECASE,
)
_SUBJECT_HEAD: Final = 200


def classify(mail: IncomingMail, report: Report | None = None) -> Kind:
    """The kind of a normalised mail. `report` is what its source says, where that has been read: it tells a mail that
    came back from one that is merely late, which a mail's properties do not always.
    """
    if report is not None:
        return "bounce" if report.action == "failed" else "receipt"
    by_class = _by_class(mail.item_class.casefold())
    if by_class:
        return by_class
    return _report_kind(mail) or _notice_kind(mail) or _meeting_kind(mail) or _answer_kind(mail) or "message"


def needs_source(mail: IncomingMail) -> bool:
    """Whether only the source tells what this is about: who was not reached, when is the meeting."""
    return classify(mail) == "meeting" or is_report(mail)


def is_report(mail: IncomingMail) -> bool:
    """Whether a mail system tells in it what became of another mail, which it may hold."""
    return classify(mail) in ("bounce", "receipt")


def automatic(mail: IncomingMail, kind: Kind, *, own: bool = False) -> bool:
    """Whether no machine should ever answer it: a machine wrote it, or its sender asks for no such answers.

    `own`: it is a mail of our own that came back to us.
    """
    if own or kind in ("auto-reply", "bounce", "receipt"):
        return True
    if mail.item_class.casefold().startswith(_MACHINE_CLASSES):
        return True
    submitted = _field(mail, "Auto-Submitted")
    if submitted and not submitted.lower().startswith("no"):
        return True
    if any(_field(mail, name) for name in _MACHINE_FIELDS) or _null_return_path(mail):
        return True
    if _precedence(mail).startswith(_MACHINE_PRECEDENCES):
        return True
    return bool(_SUPPRESSED.search(_field(mail, "X-Auto-Response-Suppress")))


def _by_class(item_class: str) -> Kind | None:
    if item_class.startswith("report."):
        return "bounce" if item_class.endswith(".ndr") else "receipt"
    if item_class.startswith(_MEETING_CLASSES):
        return "meeting"
    if item_class.startswith(_AUTO_REPLY_CLASSES):
        return "auto-reply"
    return "receipt" if item_class.startswith("ipm.recall.report") else None


def _report_kind(mail: IncomingMail) -> Kind | None:
    """By the type a mail declares (RFC 6522)."""
    kind, named = parameters(_field(mail, "Content-Type"))
    if kind not in ("multipart/report", "message/delivery-status", "message/disposition-notification"):
        return None
    reported = named.get("report-type", kind).lower()
    if "disposition-notification" in reported:
        return "receipt"
    if "delivery-status" in reported:
        return "receipt" if _DELAY_SUBJECT.search(_subject(mail)) else "bounce"
    return None


def _notice_kind(mail: IncomingMail) -> Kind | None:
    """Mail of mail systems that do not say by a type what it is."""
    from_system = bool(mail.from_ and _POSTMASTERS.fullmatch(mail.from_.address.partition("@")[0]))
    if not from_system and not _null_return_path(mail) and not _field(mail, "X-Failed-Recipients"):
        return None
    if _DELAY_SUBJECT.search(_subject(mail)):
        return "receipt"
    found = _BOUNCE_SUBJECT.search(_subject(mail))
    said = found is not None and (from_system or found.start() == 0)
    return "bounce" if said or _field(mail, "X-Failed-Recipients") else None


def _meeting_kind(mail: IncomingMail) -> Kind | None:
    declared = [_field(mail, "Content-Type"), *(each.content_type for each in mail.files)]
    if any(each.lower().startswith("text/calendar") and _MEETING_METHOD.search(each) for each in declared):
        return "meeting"
    return "meeting" if "calendarmessage" in _field(mail, "Content-Class").lower() else None


def _answer_kind(mail: IncomingMail) -> Kind | None:
    answers = bool(mail.in_reply_to or mail.references)
    submitted = _field(mail, "Auto-Submitted").lower()
    if submitted.startswith("auto-replied") or (submitted.startswith("auto-generated") and answers):
        return "auto-reply"
    if any(_field(mail, name).lower() not in ("", "no", "false") for name in _ANSWER_FIELDS):
        return "auto-reply"
    if (
        _precedence(mail).startswith(_ANSWERS)
        or _field(mail, "X-Autogenerated").lower() == "reply"
        or "autoresponder" in _field(mail, "X-POST-MessageClass").lower()
        or _field(mail, "Delivered-To").lower() == "autoresponder"
        or _field(mail, "X-Mailer").lower().startswith(("vacation", "autoresponder"))
    ):
        return "auto-reply"
    if _AUTO_REPLY_SUBJECT.match(_subject(mail)):
        return "auto-reply"
    # Nobody is to be told if it cannot be delivered: an answer, then, that a program made (RFC 3834, 3.3).
    return "auto-reply" if _null_return_path(mail) and answers and not _field(mail, "List-Id") else None


def _null_return_path(mail: IncomingMail) -> bool:
    return any(name.casefold() == "return-path" and value.strip() == "<>" for name, value in mail.headers)


def _precedence(mail: IncomingMail) -> str:
    return (_field(mail, "Precedence") or _field(mail, "X-Precedence") or _field(mail, "Preference")).strip().lower()


def _subject(mail: IncomingMail) -> str:
    return mail.subject[:_SUBJECT_HEAD].strip()


def _field(mail: IncomingMail, name: str) -> str:
    """The first header field of this name, "" if there is none."""
    folded = name.casefold()
    return next((value for each, value in mail.headers if each.casefold() == folded), "")
