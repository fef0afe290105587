"""Certificates that an application signs in by, and those of CAs: what is refused at the start, what is warned of."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from worker.profiles import local
from worker.profiles.directory import Directory
from worker.profiles.loader import parse
from worker.settings import ConfigurationError

NOW: Final = datetime.now(UTC)


def issued(days: float = 400, kind: trustme.KeyType = trustme.KeyType.RSA) -> tuple[bytes, bytes]:
    """Private key, certificate."""
    made = trustme.CA().issue_cert("router.contoso.example", not_after=NOW + timedelta(days=days), key_type=kind)
    return made.private_key_pem.bytes(), made.cert_chain_pems[0].bytes()


def directory(path: Path, content: bytes, key: str = "certificate") -> Directory:
    path.write_bytes(content)
    profile: dict[str, object] = {
        "name": "Out",
        "direction": "outgoing",
        "server": "exchange-online",
        "tenant_id": "contoso.example",
        "client_id": "router",
    }
    profile |= (
        {"certificate": f"file:{path}"} if key == "certificate" else {"client_secret": "env:PATH", key: str(path)}
    )
    return parse({"profile": [profile], "mailbox": [{"address": "*@contoso.example", "outgoing": "Out"}]}, "f")


def fault(path: Path, content: bytes, key: str = "certificate") -> str:
    with pytest.raises(ConfigurationError) as refused:
        directory(path, content, key)
    (told,) = refused.value.faults
    return told


@pytest.mark.parametrize("order", [1, -1])
def test_key_and_certificate_in_either_order(tmp_path: Path, order: int) -> None:
    found = directory(tmp_path / "both.pem", b"".join(issued()[::order]))
    assert list(local.warnings(tuple(found.profiles.values()), NOW)) == []


def test_what_is_not_both(tmp_path: Path) -> None:
    key, certificate = issued()
    file = tmp_path / "file.pem"
    assert "holds no certificate in PEM" in fault(file, key)
    assert "holds no private key in PEM" in fault(file, certificate)
    assert "is not PEM" in fault(file, b"hunter2")
    assert "none of its certificates is that of its private key" in fault(file, key + issued()[1])
    locked = load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2")
    )
    assert "is encrypted: store it without a passphrase" in fault(file, locked + certificate)
    assert "none of RSA" in fault(file, b"".join(issued(kind=trustme.KeyType.ECDSA)))


@pytest.mark.parametrize(
    ("days", "told"), [(29, "expires on"), (-1, "has expired on"), (31, "")], ids=["soon", "past", "later"]
)
def test_when_it_expires_is_a_warning(tmp_path: Path, days: int, told: str) -> None:
    made = trustme.CA().issue_cert(
        "router.contoso.example",
        not_before=NOW - timedelta(days=9),
        not_after=NOW + timedelta(days=days),
        key_type=trustme.KeyType.RSA,
    )
    content = made.private_key_and_cert_chain_pem.bytes()
    found = directory(tmp_path / "both.pem", content)
    warned = list(local.warnings(tuple(found.profiles.values()), NOW))
    assert [told in each for each in warned] == ([True] if told else [])


def test_one_that_has_gone_since_is_a_warning(tmp_path: Path) -> None:
    found = directory(tmp_path / "both.pem", b"".join(issued()))
    (tmp_path / "both.pem").unlink()
    (warning,) = local.warnings(tuple(found.profiles.values()), NOW)
    assert warning.startswith(f"[[profile]] 1 (Out): certificate: file:{tmp_path}/both.pem: cannot be read any more")


def test_certificates_of_authorities(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    assert directory(file, trustme.CA().cert_pem.bytes(), "ca_file").profiles["Out"].ca_file == file
    assert "holds no certificates in PEM" in fault(file, b"hunter2", "ca_file")


@pytest.mark.parametrize("kind", ["directory", "pipe", "endless"])
def test_a_secret_is_a_plain_file_of_bounded_size(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "secret"
    if kind == "directory":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero")
    profile = {"name": "Out", "direction": "outgoing", "server": "exchange", "autodiscover": True, "username": "r"}
    with pytest.raises(ConfigurationError, match="it is no plain file"):
        parse({"profile": [profile | {"password": f"file:{place}"}]}, "f")
