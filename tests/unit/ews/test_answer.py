"""Every shape an answer can have, and what is read from it."""

import re
from dataclasses import dataclass, field

import pytest
from multidict import CIMultiDict

from tests.unit.ews.build import NOON, back_off, envelope, failure, fault, item, page, response, row, success
from worker.ews.answer import ResponseMessage, read, trail_of
from worker.ews.http_answer import Answer
from worker.ews.operations import find_item
from worker.ews.operations.find_item import Page
from worker.ews.operations.retire import swapped
from worker.ews.trouble import Trail, Trouble, of_draft, of_send
from worker.mail.outcome import Deferred, Rejected, Scope, Unknown

TRAIL = Trail("mail.contoso.example", "client-1")
HTML = b"<!DOCTYPE html><html><body><h1>Sign in</h1></body></html>"
SENT = response("SendItem", success("SendItem"))


def read_send(answer: Answer, trail: Trail = TRAIL, sent_bytes: int = 1000) -> tuple[ResponseMessage, ...] | Trouble:
    return read(answer, "SendItem", trail_of(answer, trail), sent_bytes)


@dataclass
class Case:
    status: int
    body: bytes
    draft: type
    send: type
    code: str
    scope: Scope = Scope.MESSAGE
    wait: float | None = None
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: float | None = None


BUSY = "ErrorServerBusy"
WHOLE = {
    "401": Case(401, b"", Deferred, Deferred, "http-401", Scope.PROFILE),
    "401 with a page": Case(401, HTML, Deferred, Deferred, "http-401", Scope.PROFILE),
    "401, whatever its body claims": Case(401, SENT, Deferred, Deferred, "http-401", Scope.PROFILE),
    "403": Case(403, HTML, Deferred, Deferred, "http-403", Scope.MAILBOX),
    "404": Case(404, HTML, Deferred, Deferred, "http-404", Scope.PROFILE),
    "405": Case(405, b"", Deferred, Deferred, "http-405", Scope.PROFILE),
    "302": Case(302, b"", Deferred, Deferred, "http-302", Scope.PROFILE),
    "413": Case(413, b"", Rejected, Rejected, "http-413"),
    "400": Case(400, b"", Deferred, Deferred, "http-400"),
    "400 schema": Case(400, fault("ErrorSchemaValidation"), Rejected, Rejected, "ErrorSchemaValidation"),
    "407": Case(407, b"", Deferred, Deferred, "http-407", Scope.SERVER),
    "408": Case(408, b"", Unknown, Unknown, "http-408"),
    "456": Case(456, b"", Deferred, Deferred, "http-456", Scope.PROFILE),
    "500": Case(500, HTML, Unknown, Unknown, "http-500"),
    "502": Case(502, HTML, Unknown, Unknown, "http-502"),
    "504": Case(504, b"", Unknown, Unknown, "http-504"),
    "busy 1: 503": Case(503, HTML, Deferred, Deferred, "http-503", Scope.MAILBOX),
    "busy 1: 503, time": Case(503, b"", Deferred, Deferred, "http-503", Scope.MAILBOX, 7, retry_after=7.0),
    "busy 1: 503, fault": Case(503, fault(BUSY), Deferred, Deferred, BUSY, Scope.MAILBOX, 7, retry_after=7.0),
    "busy 1: 429": Case(429, b"", Deferred, Deferred, "http-429", Scope.MAILBOX, 3, retry_after=3.0),
    "busy 2: fault": Case(500, fault(BUSY, xml=back_off(297749)), Deferred, Deferred, BUSY, Scope.MAILBOX, 297.749),
    "busy 2: no time": Case(500, fault(BUSY), Deferred, Deferred, BUSY, Scope.MAILBOX),
    "busy 2: no number": Case(500, fault(BUSY, xml=back_off("soon")), Deferred, Deferred, BUSY, Scope.MAILBOX),
    "busy 2: far too long": Case(500, fault(BUSY, xml=back_off(10**400)), Deferred, Deferred, BUSY, Scope.MAILBOX),
    "busy 2: too long": Case(500, fault(BUSY, xml=back_off(10**15)), Deferred, Deferred, BUSY, Scope.MAILBOX, 3600.0),
    "busy 2: in 200": Case(200, fault(BUSY, xml=back_off(5000)), Deferred, Deferred, BUSY, Scope.MAILBOX, 5),
    "fault 500": Case(500, fault("ErrorInternalServerError"), Unknown, Unknown, "ErrorInternalServerError"),
    "fault 200": Case(200, fault("ErrorInternalServerError"), Unknown, Unknown, "ErrorInternalServerError"),
    "fault denied": Case(
        500, fault("ErrorImpersonateUserDenied"), Deferred, Deferred, "ErrorImpersonateUserDenied", Scope.MAILBOX
    ),
    "fault of no code": Case(
        500,
        envelope("<s:Fault><faultcode>s:Server</faultcode><faultstring>Oh</faultstring></s:Fault>"),
        Unknown,
        Unknown,
        "Server",
    ),
    "empty fault": Case(500, envelope("<s:Fault/>"), Unknown, Unknown, "soap-fault"),
    "page in 200": Case(200, HTML, Unknown, Unknown, "answer-unreadable"),
    "nothing in 200": Case(200, b"", Unknown, Unknown, "answer-unreadable"),
    "half": Case(200, SENT[: len(SENT) // 2], Unknown, Unknown, "answer-unreadable"),
    "all but the last byte": Case(200, SENT[:-1], Unknown, Unknown, "answer-unreadable"),
    "nonsense": Case(200, b"<<<no XML>>>" + SENT, Unknown, Unknown, "answer-unreadable"),
    "not SOAP": Case(200, b"<a/>", Unknown, Unknown, "answer-unreadable"),
    "another operation": Case(
        200, response("CreateItem", success("CreateItem")), Unknown, Unknown, "answer-unreadable"
    ),
    "empty body": Case(200, envelope(""), Unknown, Unknown, "answer-unreadable"),
    "success in 500": Case(500, SENT, Unknown, Unknown, "http-500"),
    "entities": Case(
        200,
        b'<!DOCTYPE s [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><s>&b;</s>',
        Unknown,
        Unknown,
        "answer-unreadable",
    ),
    "deep": Case(200, b"<a>" * 100_000, Unknown, Unknown, "answer-unreadable"),
}


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE.keys())
def test_answers_that_speak_of_the_whole_request(case: Case) -> None:
    trouble = read_send(Answer(case.status, CIMultiDict(case.headers), case.body, case.retry_after))

    assert isinstance(trouble, Trouble)
    draft, send = of_draft(trouble), of_send(trouble)
    assert (type(draft), type(send)) == (case.draft, case.send)
    assert (draft.reason.code, draft.reason.scope) == (case.code, case.scope)
    assert trouble.retry_after_seconds == case.wait
    assert draft.reason.remedy


def test_a_request_too_large_for_iis_is_not_taken_for_a_wrong_address() -> None:
    trouble = read_send(Answer(404, {}, b""), sent_bytes=30 * 2**20)

    assert isinstance(trouble, Trouble)
    assert isinstance(of_draft(trouble), Rejected)


@pytest.mark.parametrize("status", [401, 456])
def test_with_own_credentials_a_refused_account_is_one_mailbox(status: int) -> None:
    trouble = read_send(Answer(status, {}, b""), Trail("mail.contoso.example", own_credentials=True))

    assert isinstance(trouble, Trouble)
    assert trouble.verdict.scope is Scope.MAILBOX


def read_items(body: bytes) -> tuple[ResponseMessage, ...]:
    messages = read_send(Answer(200, {}, body))
    assert not isinstance(messages, Trouble)
    return messages


def test_each_item_has_its_own_outcome() -> None:
    messages = read_items(
        response(
            "SendItem",
            success("SendItem"),
            failure("SendItem", BUSY, xml=back_off(2500)),
            failure("SendItem", "ErrorItemNotFound"),
            failure("SendItem", "ErrorBrandNew"),
            '<m:SendItemResponseMessage ResponseClass="Warning"><m:ResponseCode>ErrorBatchProcessingStopped'
            "</m:ResponseCode></m:SendItemResponseMessage>",
        )
    )

    assert [message.succeeded for message in messages] == [True, False, False, False, False]
    outcomes = [of_send(message.trouble) for message in messages[1:]]
    assert [type(outcome) for outcome in outcomes] == [Deferred, Unknown, Unknown, Unknown]
    assert isinstance(outcomes[0], Deferred)
    assert outcomes[0].retry_after_seconds == 2.5


@pytest.mark.parametrize(
    "message",
    [
        "<m:SendItemResponseMessage/>",
        '<m:SendItemResponseMessage ResponseClass="Error"/>',
        failure("SendItem", "ErrorItemNotFound").replace('"Error"', '"Success"'),
        success("SendItem").replace('"Success"', '"Warning"'),
    ],
)
def test_only_a_clear_success_is_one(message: str) -> None:
    (answer,) = read_items(response("SendItem", message))

    assert not answer.succeeded
    assert isinstance(of_send(answer.trouble), Unknown)


def test_elements_nobody_knows_do_not_hide_a_success() -> None:
    body = response(
        "SendItem",
        '<m:SendItemResponseMessage ResponseClass="Success"><m:New><t:Newer a="1"/></m:New>'
        "<m:ResponseCode>NoError</m:ResponseCode><!-- words --><?pi?></m:SendItemResponseMessage><!-- more -->",
    )

    assert [message.succeeded for message in read_items(body)] == [True]


@pytest.mark.parametrize("poison", [b"&#x0b;", b"&#11;", b"&#xFFFF;", b"&#xD800;", b"&#x110000;", b"\x0b", b"\xff\xfe"])
def test_characters_xml_cannot_carry_do_not_hide_an_answer(poison: bytes) -> None:
    body = response("SendItem", failure("SendItem", "ErrorSendAsDenied", text="bad @ text &#38; more"))

    (message,) = read_items(body.replace(b"@", poison))

    assert message.code == "ErrorSendAsDenied"
    assert message.text.startswith("bad ")
    assert message.text.endswith(" text & more")


def test_blank_lines_before_an_answer_do_not_hide_it() -> None:
    (message,) = read_items(b"\r\n  " + response("SendItem", success("SendItem")))

    assert message.succeeded


def test_a_reason_tells_the_ids_to_look_for_and_where() -> None:
    headers = CIMultiDict(
        {"Request-Id": "server-1", "X-FEServer": "EX01", "x-diaginfo": "EX02", "X-MS-Diagnostics": '1;reason="x"\r\n y'}
    )
    trouble = read_send(Answer(500, headers, fault("ErrorInternalServerError", "Oh  no")))

    assert isinstance(trouble, Trouble)
    reason = trouble.reason()
    assert reason.request_id == "server-1"
    assert reason.message == (
        "mail.contoso.example: ErrorInternalServerError: Oh no "
        '[X-FEServer=EX01; X-DiagInfo=EX02; x-ms-diagnostics=1;reason="x" y]'
    )


def test_without_the_servers_id_ours_stands_in() -> None:
    trouble = read_send(Answer(502, {}, b""))

    assert isinstance(trouble, Trouble)
    assert trouble.request_id == "client-1"


def test_a_long_text_is_cut() -> None:
    trouble = read_send(Answer(500, {"X-FEServer": "x" * 5000}, fault("ErrorInternalServerError", "y" * 5000)))

    assert isinstance(trouble, Trouble)
    assert len(trouble.message) < 600


def find_page(part: str, offset: int = 0) -> Page | None:
    messages = read(Answer(200, {}, response("FindItem", part)), "FindItem", TRAIL, 0)
    assert not isinstance(messages, Trouble)
    return find_item.page(messages[0], offset)


def test_a_page_is_read_whatever_kinds_of_items_it_holds() -> None:
    stamped, plain, submitted = row(3, "/crm/x e1"), row(2), row(1, "/crm/x e2", submitted=True)
    items = item(stamped) + item(plain, "MeetingRequest", "<t:New/>") + item(submitted, "Item")
    part = success(
        "FindItem",
        '<m:RootFolder TotalItemsInView="7" IncludesLastItemInRange="false" IndexedPagingOffset="3">'
        f"<t:Items>{items}</t:Items></m:RootFolder>",
    )

    assert find_page(part) == Page(
        (stamped, find_item.Row(plain.id, "k", "", False, None, plain.modified_at, ""), submitted),  # noqa: FBT003
        last=False,
        total=7,
    )


def test_another_programs_property_is_not_our_stamp() -> None:
    part = page(row(1, "/crm/x e1")).replace("RequestStamp", "SomethingElse")
    found = find_page(part)

    assert found is not None
    assert found.rows[0].stamp == ""


def test_times_without_a_zone_are_utc_and_nonsense_is_no_time() -> None:
    text = page(row(0, "/crm/x e1"))
    found = find_page(text.replace("12:00:00Z", "12:00:00"))
    broken = find_page(text.replace("12:00:00Z", "later"))

    assert found is not None
    assert found.rows[0].modified_at == NOON
    assert broken is not None
    assert broken.rows[0].modified_at is None


@pytest.mark.parametrize(
    "part",
    [
        success("FindItem"),
        success("FindItem", "<m:RootFolder/>"),
        success("FindItem", '<m:RootFolder TotalItemsInView="3" IncludesLastItemInRange="false"/>'),
        page(row(1)).replace('Id="id-1"', ""),
    ],
)
def test_a_page_that_does_not_say_all_is_none(part: str) -> None:
    assert find_page(part) is None


def test_a_server_need_not_say_that_nothing_follows() -> None:
    part = page(row(1), row(2)).replace('IncludesLastItemInRange="true"', "")

    for total, offset, last in ((2, 0, True), (7, 0, False), (7, 5, True), (0, 0, True)):
        found = find_page(re.sub(r'TotalItemsInView="\d+"', f'TotalItemsInView="{total}"', part), offset)
        assert found is not None
        assert found.last is last


def test_a_server_need_not_say_anything_of_its_pages() -> None:
    """Then the last page is one that shows nothing new, or a single row: more are asked for."""
    for rows, offset, last in (
        ((), 0, True),
        ((row(1),), 0, True),
        ((row(1),), 5, True),
        ((row(1), row(2)), 0, False),
        ((row(1), row(2)), 5, False),
    ):
        part = page(*rows).replace('IncludesLastItemInRange="true"', "")
        found = find_page(re.sub(r'TotalItemsInView="\d+"', "", part), offset)
        assert found is not None
        assert found.last is last


def test_a_server_may_show_all_that_an_item_has() -> None:
    other = (
        '<t:ExtendedProperty><t:ExtendedFieldURI DistinguishedPropertySetId="InternetHeaders" '
        'PropertyName="X-Campaign" PropertyType="String"/><t:Value>autumn</t:Value></t:ExtendedProperty>'
    )
    part = page(row(1, "/crm/x e1", submitted=True))
    for shown in (
        part.replace("<t:ExtendedProperty>", other + "<t:ExtendedProperty>", 1),
        part.replace("</t:ExtendedProperty>", "</t:ExtendedProperty>" + other, 1),
        part.replace("true</t:IsSubmitted>", "\n  true\n  </t:IsSubmitted>"),
    ):
        found = find_page(shown)
        assert found is not None
        assert (found.rows[0].stamp, found.rows[0].submitted) == ("/crm/x e1", True)


def test_a_server_need_not_say_how_many_rows_a_folder_has() -> None:
    for total in ("", 'TotalItemsInView="many"'):
        part = success("FindItem", f'<m:RootFolder {total} IncludesLastItemInRange="true"><t:Items/></m:RootFolder>')
        assert find_page(part) == Page((), last=True, total=None)


def test_an_empty_folder_is_a_page() -> None:
    assert find_page(page()) == Page((), last=True, total=0)


def test_what_was_swapped_is_read_with_its_new_key() -> None:
    (message,) = read_items(response("SendItem", success("SendItem", f"<m:Items>{item(row(1, key='new'))}</m:Items>")))
    (nothing,) = read_items(response("SendItem", success("SendItem", "<m:Items/>")))

    assert swapped(message) == ("id-1", "new")
    assert swapped(nothing) is None
