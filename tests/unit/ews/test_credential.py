import re
from pathlib import Path

import pytest

from tests.unit.ews.certificates import NOW, certificate, curve, key, pem
from worker.ews.credential import Credential, credential
from worker.ews.endpoint import OAuthSignIn
from worker.ews.token_answer import Refusal
from worker.settings import ConfigurationError, SecretReference

SECRET, PEM = "client_secret", "certificate"


def signing_in(path: Path, kind: str, text: str) -> OAuthSignIn:
    path.write_text(text)
    reference = SecretReference(f"file:{path}")
    if kind == SECRET:
        return OAuthSignIn("https://login.example", "t", "c", "s", client_secret=reference)
    return OAuthSignIn("https://login.example", "t", "c", "s", certificate=reference)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "it"


def test_a_secret_is_what_the_file_holds(path: Path) -> None:
    read = credential(signing_in(path, SECRET, "secret\n"), NOW)

    assert isinstance(read, Credential)
    assert (read.proof, read.ends_at) == ("secret", None)
    assert "secret" not in repr(read)


def test_what_is_not_there_says_so(path: Path) -> None:
    account = signing_in(path, PEM, "")
    path.unlink()

    with pytest.raises(ConfigurationError):
        credential(account, NOW)


@pytest.mark.parametrize("order", [(2, 0, 1), (0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_a_certificate_shows_itself_and_its_chain_and_never_its_key(path: Path, order: tuple[int, ...]) -> None:
    own, other = certificate(key()), certificate(curve())
    parts = [(own, other, key())[each] for each in order]
    read = credential(signing_in(path, PEM, pem(*parts)), NOW)

    assert isinstance(read, Credential)
    assert isinstance(read.proof, dict)
    assert read.proof["public_certificate"] == pem(own, other)
    assert re.fullmatch("[0-9a-f]{64}", read.proof["thumbprint_sha256"])
    assert read.ends_at == own.not_valid_after_utc
    assert "PRIVATE" not in repr(read)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense", "is not PEM"),
        (pem(key()), "holds no certificate"),
        (pem(certificate(key())), "holds no private key"),
        (pem(key(), certificate(key()), password=b"locked"), "is encrypted"),
        (pem(key(2), certificate(key())), "none of its certificates is that of its private key"),
        (pem(key(), certificate(key(), ends=-1)), "has expired on 2026-11-22"),
        (pem(key(), certificate(key(), begins=1)), "is not valid before 2026-11-24"),
        (pem(elliptic := curve(), certificate(elliptic)), "none of RSA"),
    ],
)
def test_what_cannot_be_signed_in_by_is_told_before_anybody_is_asked(path: Path, text: str, told: str) -> None:
    read = credential(signing_in(path, PEM, text), NOW)

    assert isinstance(read, Refusal)
    assert read.code == "token-certificate"
    assert told in read.text
    assert str(path) in read.text
