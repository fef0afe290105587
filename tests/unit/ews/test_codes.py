import pytest
from lxml import etree

from worker.events.schemas import schemas_path
from worker.ews.codes import TABLE, UNKNOWN_CODE, Disposition, verdict_on
from worker.ews.trouble import Trail, of_draft, of_look, of_send
from worker.mail.outcome import Deferred, Rejected, Scope, Unknown

XS = "{http://www.w3.org/2001/XMLSchema}"
TRAIL = Trail("mail.contoso.example", "request-1")


def codes_of_the_schema() -> set[str]:
    root = etree.parse(schemas_path() / "ews" / "messages.xsd").getroot()
    (codes,) = root.findall(f"{XS}simpleType[@name='ResponseCodeType']")
    return {element.get("value") or "" for element in codes.iter(f"{XS}enumeration")}


def test_the_table_holds_every_code_of_the_schema_and_no_other() -> None:
    assert TABLE.keys() == codes_of_the_schema() - {"NoError"}
    assert len(TABLE) == 513


CASES = {
    # code: (a draft, a send, scope)
    "ErrorServerBusy": (Deferred, Deferred, Scope.MAILBOX),
    "ErrorMailboxStoreUnavailable": (Deferred, Unknown, Scope.MAILBOX),
    "ErrorMailboxMoveInProgress": (Deferred, Unknown, Scope.MAILBOX),
    "ErrorInternalServerError": (Unknown, Unknown, Scope.MESSAGE),
    "ErrorInternalServerTransientError": (Unknown, Unknown, Scope.MESSAGE),
    "ErrorTimeoutExpired": (Unknown, Unknown, Scope.MESSAGE),
    "ErrorBatchProcessingStopped": (Unknown, Unknown, Scope.MESSAGE),
    "ErrorItemNotFound": (Unknown, Unknown, Scope.MESSAGE),
    "ErrorStaleObject": (Unknown, Unknown, Scope.MESSAGE),
    "ErrorIrresolvableConflict": (Unknown, Unknown, Scope.MESSAGE),
    "ErrorChangeKeyRequired": (Unknown, Unknown, Scope.MESSAGE),
    "ErrorChangeKeyRequiredForWriteOperations": (Unknown, Unknown, Scope.MESSAGE),
    "ErrorInvalidPropertyUpdateSentMessage": (Unknown, Unknown, Scope.MESSAGE),
    "ErrorInvalidRecipients": (Rejected, Rejected, Scope.RECIPIENT),
    "ErrorMissingRecipients": (Rejected, Rejected, Scope.RECIPIENT),
    "ErrorExceededMaxRecipientLimit": (Rejected, Rejected, Scope.MESSAGE),
    "ErrorMessageSizeExceeded": (Rejected, Rejected, Scope.MESSAGE),
    "ErrorDataSizeLimitExceeded": (Rejected, Rejected, Scope.MESSAGE),
    "ErrorMimeContentInvalid": (Rejected, Rejected, Scope.MESSAGE),
    "ErrorInvalidPropertySet": (Rejected, Rejected, Scope.MESSAGE),
    "ErrorSchemaValidation": (Rejected, Rejected, Scope.MESSAGE),
    "ErrorSendAsDenied": (Deferred, Deferred, Scope.MAILBOX),
    "ErrorAccessDenied": (Deferred, Deferred, Scope.MAILBOX),
    "ErrorImpersonateUserDenied": (Deferred, Deferred, Scope.MAILBOX),
    "ErrorNonExistentMailbox": (Deferred, Deferred, Scope.MAILBOX),
    "ErrorQuotaExceeded": (Deferred, Unknown, Scope.MAILBOX),
    "ErrorSubmissionQuotaExceeded": (Deferred, Deferred, Scope.MAILBOX),
    "ErrorPasswordExpired": (Deferred, Deferred, Scope.PROFILE),
    "ErrorAccountDisabled": (Deferred, Deferred, Scope.PROFILE),
    "ErrorCalendarOutOfRange": (Deferred, Unknown, Scope.MESSAGE),
    "ErrorFromNextYear": (Deferred, Unknown, Scope.MESSAGE),
}


@pytest.mark.parametrize(("code", "expected"), CASES.items())
def test_what_a_code_means_for_a_draft_a_send_and_a_look(code: str, expected: tuple[type, type, Scope]) -> None:
    trouble = TRAIL.trouble(code, verdict_on(code), "text")
    draft, send, look = of_draft(trouble), of_send(trouble), of_look(trouble)

    assert (type(draft), type(send), draft.reason.scope) == expected
    assert draft.reason == send.reason
    assert isinstance(look, Deferred)
    assert look.reason.scope.beyond_message


def test_an_unknown_code_is_not_taken_for_a_refusal_to_send() -> None:
    assert verdict_on("ErrorFromNextYear") is UNKNOWN_CODE
    assert not UNKNOWN_CODE.refuses_sending


def test_only_what_says_so_refuses_a_send() -> None:
    for code, verdict in TABLE.items():
        if verdict.disposition is Disposition.LOOK:
            assert not verdict.refuses_sending, code


def test_every_pause_says_what_to_do() -> None:
    assert all(verdict.remedy for verdict in TABLE.values())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ErrorSendAsDenied", ("Add-ADPermission", "Send As")),
        ("ErrorImpersonateUserDenied", ("New-ManagementRoleAssignment", "ApplicationImpersonation")),
        ("ErrorNonExistentMailbox", ("Get-Mailbox",)),
        ("ErrorQuotaExceeded", ("quota",)),
        ("ErrorOrganizationAccessBlocked", ("EwsEnabled", "Set-CASMailbox", "user agent")),
    ],
)
def test_remedies_name_the_command(code: str, words: tuple[str, ...]) -> None:
    assert [word for word in words if word not in verdict_on(code).remedy] == []


def test_with_the_users_own_credentials_a_bad_account_is_that_mailboxs_trouble() -> None:
    own = Trail("mail.contoso.example", own_credentials=True)

    assert own.trouble("ErrorPasswordExpired", verdict_on("ErrorPasswordExpired"), "").verdict.scope is Scope.MAILBOX
    assert TRAIL.trouble("ErrorPasswordExpired", verdict_on("ErrorPasswordExpired"), "").verdict.scope is Scope.PROFILE


def test_in_an_accounts_mailbox_only_what_is_about_the_sender_is_that_senders_trouble() -> None:
    shared = Trail("mail.contoso.example", shared_mailbox=True)

    assert shared.trouble("ErrorQuotaExceeded", verdict_on("ErrorQuotaExceeded"), "").verdict.scope is Scope.PROFILE
    assert shared.trouble("ErrorSendAsDenied", verdict_on("ErrorSendAsDenied"), "").verdict.scope is Scope.MAILBOX
