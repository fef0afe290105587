"""NTLM as a server: a handshake of three messages, bound to its connection, and over TLS to the certificate too."""

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import spnego
from spnego import ContextProxy
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

from worker.sandbox.directory import Directory, User
from worker.sandbox.options import Options

_SIGNATURE: Final = b"NTLMSSP\0"
_NONSENSE: Final = (SpnegoError, ValueError, LookupError, struct.error)
"""What the library raises for messages that are refused, and for those that are none."""
_UNBOUND: Final = bytes(16)
_UNICODE: Final = 1
_CHANNEL_BINDINGS: Final = 10
"""MsvAvChannelBindings (MS-NLMP 2.2.2.1)."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a client's third message says of itself."""

    domain: str
    name: str
    bindings: bytes
    """MD5 of the channel it believes to speak over; zeros for none."""


class Handshake:
    """One handshake; `challenge` answers the first message, `user` judges the third.

    `bindings` is the channel as we see it, None without TLS: then there is nothing to be bound to.
    """

    def __init__(self, directory: Directory, options: Options, bindings: GssChannelBindings | None) -> None:
        self._directory = directory
        self._options = options
        self._bindings = bindings
        self._context: ContextProxy | None = None

    def challenge(self, message: bytes) -> bytes | None:
        """The second message; None where the first is none."""
        try:
            with _credentials(""):
                self._context = spnego.server(protocol="ntlm" if message.startswith(_SIGNATURE) else "negotiate")
                return self._context.step(message)
        except _NONSENSE:
            return None

    def user(self, message: bytes) -> User | None:
        """Who has signed in; None for nobody."""
        if self._context is None:
            return None
        try:
            proof = read(message)
            user = self._directory.named(f"{proof.domain}\\{proof.name}" if proof.domain else proof.name)
            if user is None or not self._is_bound(proof):
                return None
            with _credentials(f"{proof.domain}:{proof.name}:{user.password}"):
                self._context.step(message, channel_bindings=self._looked_at(proof))
        except _NONSENSE:
            return None
        return user if self._context.complete else None

    def _is_bound(self, proof: Proof) -> bool:
        """Whether the client says as much of its channel as is wanted; whether it is right is looked at later."""
        return self._bindings is None or self._options.extended_protection != "require" or proof.bindings != _UNBOUND

    def _looked_at(self, proof: Proof) -> GssChannelBindings | None:
        """What its channel must be; None where that makes no difference."""
        return None if proof.bindings == _UNBOUND or self._options.extended_protection == "off" else self._bindings


def is_proof(message: bytes) -> bool:
    """Whether it is the third message, wrapped as SPNEGO or not."""
    return _SIGNATURE + b"\x03\0\0\0" in message


def read(message: bytes) -> Proof:
    """The parts of an AUTHENTICATE_MESSAGE (MS-NLMP 2.2.1.3) that are needed before it can be checked. Raises
    ValueError, struct.error.
    """
    message = message[message.index(_SIGNATURE) :]
    (flags,) = struct.unpack_from("<I", message, 60)
    response, domain, name = (_field(message, position) for position in (20, 28, 36))
    encoding = "utf-16-le" if flags & _UNICODE else "latin-1"
    return Proof(domain.decode(encoding), name.decode(encoding), _bindings(response))


def _field(message: bytes, position: int) -> bytes:
    length, _, offset = struct.unpack_from("<HHI", message, position)
    return message[offset : offset + length]


def _bindings(response: bytes) -> bytes:
    """From the pairs of an NTLMv2 response (MS-NLMP 2.2.2.8, 2.2.2.7); they begin after 44 bytes."""
    position = 44
    while position + 4 <= len(response):
        kind, length = struct.unpack_from("<HH", response, position)
        if kind == _CHANNEL_BINDINGS:
            return response[position + 4 : position + 4 + length]
        if kind == 0:
            break
        position += 4 + length
    return _UNBOUND


@contextmanager
def _credentials(line: str) -> Iterator[None]:
    """The acceptor reads who there is from the file that a variable names: one with the one user it asks about, and
    only while it reads. (A password with a colon cannot be written there.)
    """
    before = os.environ.get("NTLM_USER_FILE")
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="sandbox-ntlm-") as file:
        file.write(line + "\n")
        file.flush()
        os.environ["NTLM_USER_FILE"] = file.name
        try:
            yield
        finally:
            if before is None:
                del os.environ["NTLM_USER_FILE"]
            else:
                os.environ["NTLM_USER_FILE"] = before
