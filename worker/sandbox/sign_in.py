"""Who asks: Basic, NTLM (also under the name Negotiate) and Bearer, as far as they are offered."""

import base64
import binascii
from weakref import WeakKeyDictionary

from aiohttp import web
from spnego.channel_bindings import GssChannelBindings

from worker.sandbox.directory import Directory, User
from worker.sandbox.ntlm import Handshake, is_proof
from worker.sandbox.options import Options
from worker.sandbox.reply import HTML, Reply, of_fault, unauthorized
from worker.sandbox.soap import Fault
from worker.sandbox.tokens import Rejection, Tokens


class SignIn:
    """`bindings`: the name of the TLS channel, None without TLS."""

    def __init__(self, directory: Directory, options: Options, tokens: Tokens) -> None:
        self._directory = directory
        self._options = options
        self._tokens = tokens
        self.bindings: GssChannelBindings | None = None
        self._handshakes: WeakKeyDictionary[object, Handshake] = WeakKeyDictionary()
        self._signed_in: WeakKeyDictionary[object, User] = WeakKeyDictionary()
        """By connection: NTLM signs in a connection, not a request."""

    async def who(self, request: web.Request) -> User | Reply:
        """The account that signs in, or what is answered instead."""
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        scheme = scheme.casefold()
        found: User | Reply | None
        if not scheme:
            connection = request.transport
            found = self._signed_in.get(connection) if self._signed_in and connection is not None else None
        elif scheme not in self._options.sign_in:
            found = None
        elif scheme == "basic":
            found = self._basic(credentials)
        elif scheme == "bearer":
            found = self._bearer(credentials, f"{request.scheme}://{request.host}")
        else:
            await request.read()  # the connection goes on only if the whole request was taken
            found = self._ntlm(scheme, credentials, request.transport)
        if isinstance(found, User) and found.state != "ok":
            found = _admitted(found)
        return unauthorized(self._options) if found is None else found

    def _basic(self, credentials: str) -> User | None:
        try:
            username, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return self._directory.sign_in(username, password)

    def _bearer(self, token: str, origin: str) -> User | Reply:
        holder = self._tokens.holder(token.strip(), origin)
        if not isinstance(holder, Rejection):
            return holder
        if holder.status != 401:  # noqa: PLR2004 - else it is that of any sign-in that fails
            return Reply(holder.status, b"", HTML, {"x-ms-diagnostics": holder.diagnostics})
        return unauthorized(self._options, holder.diagnostics)

    def _ntlm(self, scheme: str, credentials: str, connection: object) -> User | Reply | None:
        try:
            message = base64.b64decode(credentials, validate=True)
        except binascii.Error:
            return None
        if connection is None:  # the client has gone meanwhile
            return None
        handshake = self._handshakes.pop(connection, None)
        self._signed_in.pop(connection, None)
        if not is_proof(message):
            handshake = Handshake(self._directory, self._options, self.bindings)
            challenge = handshake.challenge(message)
            if challenge is None:
                return None
            self._handshakes[connection] = handshake
            name = "NTLM" if scheme == "ntlm" else "Negotiate"
            return Reply(401, b"", HTML, {"WWW-Authenticate": f"{name} {base64.b64encode(challenge).decode()}"})
        user = handshake.user(message) if handshake is not None else None
        if user is not None:
            self._signed_in[connection] = user
        return user


def _admitted(user: User) -> User | Reply | None:
    """What the state of an account lets it do whose password is right.

    An old password gets the fault that EWS has for it, so that it can be told from a wrong one; servers that leave
    sign-in to Active Directory alone answer 401, as they do for accounts locked or disabled.
    """
    if user.state == "password-expired":
        return of_fault(Fault("ErrorPasswordExpired", "The password of the account has expired."))
    return None if user.state in ("locked", "disabled") else user
