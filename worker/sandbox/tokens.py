"""Access tokens: signed JWTs with the claims that Exchange looks at, and what it says of one it does not take."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from worker.clock import Clock
from worker.sandbox.application import FULL_ACCESS, Application
from worker.sandbox.directory import User
from worker.sandbox.options import Options

RESOURCES: Final = (
    "https://outlook.office365.com",
    "https://outlook.office.com",
    "https://outlook.office365.us",
    "https://outlook-dod.office365.us",
    "https://partner.outlook.cn",
)
"""What a token for Exchange may be for, besides the sandbox's own address."""
_MOST_REMEMBERED: Final = 256
_UNCHECKED: Final = dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss"), False)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a token is not taken. Numbers and texts as Exchange was seen to write them (2000003, 2000004, 2000008), the
    others made after them; `category` is one of its documented ones.
    """

    number: int
    category: str
    reason: str
    status: int = 401

    @property
    def diagnostics(self) -> str:
        """The value of `x-ms-diagnostics`."""
        return f'{self.number};reason="{self.reason}";error_category="{self.category}"'


class Tokens:
    """`applications` by their ids in lower case. The signing key is made when it is first needed."""

    def __init__(self, applications: dict[str, Application], options: Options, clock: Clock) -> None:
        self._applications = applications
        self._options = options
        self._clock = clock
        self._known: dict[str, dict[str, Any]] = {}
        """The claims of tokens whose signature was checked."""

    @cached_property
    def _key(self) -> RSAPrivateKey:
        return generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def _key_id(self) -> str:
        return uuid4().hex

    def forget(self) -> None:
        """From now on no token given out is known: there is a new signing key."""
        self._known.clear()
        for name in ("_key", "_key_id"):
            self.__dict__.pop(name, None)

    def keys(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set."""
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**key, "use": "sig", "kid": self._key_id, "x5t": self._key_id}]}

    def issue(self, application: Application, audience: str, issuer: str) -> str:
        now = int(self._clock.now().timestamp())
        claims = {
            "aud": audience,
            "iss": issuer,
            "iat": now,
            "nbf": now,
            "exp": now + self._options.token_seconds,
            "appid": application.client_id,
            "tid": application.tenant_id,
            "roles": list(application.roles),
            "idtyp": "app",
            "ver": "1.0",
            "uti": uuid4().hex,
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id, "x5t": self._key_id})

    def holder(self, token: str, origin: str) -> User | Rejection:
        """Who signs in with a token at `origin`, the sandbox's own address as the client knows it."""
        claims = self._claims(token)
        if claims is None:
            return Rejection(2000001, "invalid_token", "The token has an invalid signature.")
        if claims["exp"] <= self._clock.now().timestamp():
            return Rejection(2000002, "token_expired", "The token has expired.")
        if claims["aud"] not in (*RESOURCES, origin):
            return Rejection(2000003, "invalid_resource", f"The audience claim value is invalid '{claims['aud']}'.")
        application = self._applications.get(claims["appid"].casefold())
        if application is None or not application.is_of(claims["tid"]):
            reason = f"The tenant for tenant guid '{claims['tid']}' does not exist."
            return Rejection(2000004, "invalid_tenant", reason)
        if FULL_ACCESS not in claims["roles"]:
            reason = (
                "The token should have valid permissions or linked account associated with partner application "
                f"'{claims['appid']}'."
            )
            return Rejection(2000008, "invalid_grant", reason, status=403)
        # It has no mailbox of its own, so every request names whom it acts for.
        return User(
            application.client_id, "", has_mailbox=False, is_application=True, impersonates=application.mailboxes
        )

    def _claims(self, token: str) -> dict[str, Any] | None:
        claims = self._known.get(token)
        if claims is None:
            try:
                claims = jwt.decode(token, self._key.public_key(), algorithms=["RS256"], options=_UNCHECKED)  # type: ignore[arg-type]
            except jwt.InvalidTokenError:
                return None
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[token] = claims
        return claims
