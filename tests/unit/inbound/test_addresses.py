import time

import pytest

from worker.inbound.addresses import cleaned, listed
from worker.mail.address import Address


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x@c.example", [("x@c.example", "")]),
        ('"Lind, Xaver" <x@c.example>, y@c.example', [("x@c.example", "Lind, Xaver"), ("y@c.example", "")]),
        ("Lind, Xaver <x@c.example>", [("x@c.example", "Lind, Xaver")]),
        ("x@c.example; Y <y@c.example>;", [("x@c.example", ""), ("y@c.example", "Y")]),
        (
            "Team: x@c.example, y@c.example;, z@c.example",
            [("x@c.example", ""), ("y@c.example", ""), ("z@c.example", "")],
        ),
        ("undisclosed-recipients:;", []),
        ("x@c.example (X (the one))", [("x@c.example", "X (the one)")]),
        ("=?utf-8?Q?J=C3=B6rg?= <x@c.example>", [("x@c.example", "Jörg")]),
        ('"=?utf-8?B?SsO2cmc=?=" <x@c.example>', [("x@c.example", "Jörg")]),
        ("=?utf-8?Q?Lind=2C_Xaver?= <x@c.example>", [("x@c.example", "Lind, Xaver")]),
        ("<@relay.example:x@c.example>", [("x@c.example", "")]),
        ('"X <x@c.example>', [("x@c.example", "X")]),
        ('"local part"@c.example', [('"local part"@c.example', "")]),
        ("x@[IPv6:2001:db8::1]", [("x@[IPv6:2001:db8::1]", "")]),
        ("mailto:x@c.example", [("x@c.example", "")]),
        ("Xaver Lind", [("Xaver Lind", "")]),
        ("X <>", [("X", "")]),
        ("<>", []),
        (',;,:()<>""', []),
    ],
)
def test_lists(value: str, expected: list[tuple[str, str]]) -> None:
    assert [(each.address, each.name) for each in listed(value)] == expected


@pytest.mark.parametrize(
    ("address", "name", "expected"),
    [
        ("x@c.example", "'X'", Address("x@c.example", "X")),
        ("x@c.example", "x@C.example", Address("x@c.example")),
        ("'x@c.example'", "", Address("x@c.example")),
        ("<x@c.example>", "", Address("x@c.example")),
        ("x@c.example.", "", Address("x@c.example")),
        ("x @ c.example", "", Address("x@c.example")),
        ("MAILTO:x%2By@c.example?subject=a", "", Address("x+y@c.example")),
        ("smtp:x@c.example", "", Address("x@c.example")),
        ("X <x@c.example>", "", Address("x@c.example", "X")),
        ("", "X <x@c.example>", Address("x@c.example", "X <x@c.example>")),
        ("", "Sales", Address("Sales")),
        ("/O=CONTOSO/CN=RECIPIENTS/CN=X", "X", Address("/O=CONTOSO/CN=RECIPIENTS/CN=X", "X")),
        ("IMCEAEX-_O=CONTOSO_CN=X+20Y@contoso.example", "", Address("/O=CONTOSO/CN=X Y")),
        ("x\x00@c.example\r\nBcc: y@c.example", "a\r\nb", Address("x@c.example Bcc: y@c.example", "a b")),
        ("o'brien@c.example", "", Address("o'brien@c.example")),
    ],
)
def test_single_ones(address: str, name: str, expected: Address) -> None:
    assert cleaned(Address(address, name)) == expected


@pytest.mark.parametrize(("address", "name"), [("", ""), ("<>", ""), ("", "undisclosed-recipients:"), ("@", "''")])
def test_nobody(address: str, name: str) -> None:
    assert cleaned(Address(address, name)) is None


@pytest.mark.parametrize(
    "piece", ['"\\', '"', "(", "<", ",", "a,", 'a"', ":", "a@b ", "[ ", "'", '"a"@,', "\\", "a<b>"]
)
def test_time_is_linear(piece: str) -> None:
    began = time.process_time()
    listed(piece * (300_000 // len(piece)))
    assert time.process_time() - began < 5
