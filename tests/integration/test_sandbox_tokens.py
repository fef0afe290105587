"""The sandbox's token endpoint, and what Exchange makes of its tokens. msal is the client nobody here wrote."""

import asyncio
import base64
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import jwt
import msal
import pytest
import requests
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.integration.ews_by_hand import Answer, Client
from worker.sandbox import users
from worker.sandbox.application import Application
from worker.sandbox.exchange import Exchange
from worker.sandbox.server import Sandbox

ANNA, BERT = "anna@contoso.example", "bert@contoso.example"
TENANT = "contoso.example"
SCOPE = "https://outlook.office365.com/.default"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def _application(sandbox: Sandbox) -> Application:
    return next(iter(sandbox.exchange.directory.applications.values()))


async def _ask(sandbox: Sandbox, tenant: str = TENANT, **fields: str) -> tuple[int, dict[str, Any]]:
    """Ask for a token, with what the first application needs where nothing else is given."""
    application = _application(sandbox)
    form = {
        "grant_type": "client_credentials",
        "client_id": application.client_id,
        "client_secret": application.client_secret,
        "scope": SCOPE,
        **fields,
    }
    url = f"{sandbox.authority}/{tenant}/oauth2/v2.0/token"
    async with aiohttp.ClientSession() as session, session.post(url, data=form) as response:
        return response.status, await response.json()


async def _token(sandbox: Sandbox, **fields: str) -> str:
    status, told = await _ask(sandbox, **fields)
    assert (status, told["token_type"], told["expires_in"]) == (200, "Bearer", sandbox.exchange.options.token_seconds)
    return str(told["access_token"])


async def _find(sandbox: Sandbox, token: str, acting_as: str = ANNA) -> Answer:
    async with Client(sandbox.url, "", acting_as=acting_as, authorization=f"Bearer {token}") as client:
        return await client.find("inbox")


async def test_a_token_opens_the_mailboxes_of_the_scope(sandbox: Sandbox) -> None:
    token = await _token(sandbox)
    assert (await _find(sandbox, token)).codes == ["NoError"]
    _application(sandbox).mailboxes = {ANNA}
    assert (await _find(sandbox, token)).codes == ["NoError"]
    assert (await _find(sandbox, token, BERT)).codes == ["fault", "ErrorImpersonateUserDenied"]
    refused = await _find(sandbox, token, "")
    assert refused.codes == ["fault", "ErrorInvalidExchangeImpersonationHeaderData"]
    assert b"ExchangeImpersonation SOAP header must be present" in refused.body


async def test_a_token_says_what_entra_says(sandbox: Sandbox) -> None:
    application, token = _application(sandbox), await _token(sandbox)
    url = f"{sandbox.authority}/{TENANT}/v2.0/.well-known/openid-configuration"
    async with aiohttp.ClientSession() as session:
        configuration = await (await session.get(url)).json()
        keys = jwt.PyJWKSet.from_dict(await (await session.get(configuration["jwks_uri"])).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=SCOPE.removesuffix("/.default"))
    assert claims["iss"] == configuration["issuer"]
    assert configuration["token_endpoint"].endswith(f"/{application.tenant_id}/oauth2/v2.0/token")
    told = {name: claims[name] for name in ("appid", "tid", "roles")}
    assert told == {"appid": application.client_id, "tid": application.tenant_id, "roles": ["full_access_as_app"]}
    assert claims["exp"] - claims["iat"] == 3600


@pytest.mark.parametrize(
    ("tenant", "fields", "told"),
    [
        ("fabrikam.example", {}, (400, "invalid_request", 90002)),
        (TENANT, {"client_id": str(uuid4())}, (400, "unauthorized_client", 700016)),
        (TENANT, {"client_secret": "wrong"}, (401, "invalid_client", 7000215)),
        (TENANT, {"client_secret": ""}, (401, "invalid_client", 7000216)),
        (TENANT, {"scope": "https://elsewhere.example/.default"}, (400, "invalid_resource", 500011)),
        (TENANT, {"scope": "https://outlook.office365.com/EWS"}, (400, "invalid_scope", 1002012)),
        (TENANT, {"scope": ""}, (400, "invalid_scope", 70011)),
        (TENANT, {"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
        (TENANT, {"client_id": ""}, (400, "invalid_request", 900144)),
    ],
)
async def test_no_token(sandbox: Sandbox, tenant: str, fields: dict[str, str], told: tuple[int, str, int]) -> None:
    status, answer = await _ask(sandbox, tenant, **fields)
    assert (status, answer["error"], *answer["error_codes"]) == told
    assert answer["error_description"].startswith(f"AADSTS{told[2]}: ")
    assert {"timestamp", "trace_id", "correlation_id"} <= answer.keys()


async def test_a_secret_expires_and_the_service_may_be_away(sandbox: Sandbox) -> None:
    _application(sandbox).secret_expired = True
    assert (await _ask(sandbox))[1]["error_codes"] == [7000222]
    sandbox.exchange.options.tokens_given = False
    status, told = await _ask(sandbox)
    assert (status, told["error"]) == (503, "temporarily_unavailable")


@dataclass
class _Signer:
    """A key with a self-signed certificate, and assertions signed with it."""

    lives: timedelta = timedelta(days=1)
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def __post_init__(self) -> None:
        now, name = datetime.now(UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "router")])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
        builder = builder.serial_number(1).not_valid_before(now - timedelta(days=2)).not_valid_after(now + self.lives)
        self.certificate = builder.sign(self.key, hashes.SHA256())

    @property
    def pem(self) -> str:
        plain = serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, plain).decode()

    def assertion(self, client_id: str, audience: str, algorithm: str = "RS256", **claims: Any) -> str:
        now = datetime.now(UTC)
        told = {"aud": audience, "iss": client_id, "sub": client_id, "exp": now + timedelta(minutes=5), "jti": "1"}
        name, thumbprint = (
            ("x5t", self.certificate.fingerprint(hashes.SHA1()))
            if algorithm == "RS256"
            else ("x5t#S256", self.certificate.fingerprint(hashes.SHA256()))
        )
        header = {name: base64.urlsafe_b64encode(thumbprint).decode()}
        return jwt.encode({**told, **claims}, self.key, algorithm=algorithm, headers=header)


async def test_a_certificate_in_place_of_a_secret(sandbox: Sandbox) -> None:
    application, signer, other = _application(sandbox), _Signer(), _Signer()
    application.certificate = signer.certificate
    audience = f"{sandbox.authority}/{TENANT}/oauth2/v2.0/token"

    async def numbers(assertion: str) -> list[int]:
        fields = {"client_assertion": assertion, "client_assertion_type": JWT_BEARER, "client_secret": ""}
        _, told = await _ask(sandbox, **fields)
        return list(told.get("error_codes", []))

    me = application.client_id
    for algorithm in ("RS256", "PS256"):
        assert await numbers(signer.assertion(me, audience, algorithm)) == []
    assert await numbers(other.assertion(me, audience)) == [700027]
    other.certificate = signer.certificate  # the right name, another key
    assert await numbers(other.assertion(me, audience)) == [700027]
    assert await numbers(signer.assertion(me, "https://elsewhere.example")) == [700023]
    assert await numbers(signer.assertion(me, audience, sub="somebody")) == [700021]
    assert await numbers(signer.assertion(me, audience, exp=1)) == [700024]
    assert await numbers("nonsense") == [50027]
    expired = _Signer(timedelta(days=-1))
    application.certificate = expired.certificate
    assert await numbers(expired.assertion(me, audience)) == [700027]
    application.certificate = None
    assert await numbers(signer.assertion(me, audience)) == [700027]


async def test_tokens_that_exchange_does_not_take(sandbox: Sandbox) -> None:
    application, options = _application(sandbox), sandbox.exchange.options

    async def told(token: str) -> tuple[int, str]:
        answer = await _find(sandbox, token)
        assert answer.status == 403 or 'error="invalid_token"' in str(answer.challenges)
        return answer.status, answer.headers["x-ms-diagnostics"].rpartition("=")[2]

    good = await _token(sandbox)
    assert await told("nonsense") == (401, '"invalid_token"')
    unsigned = jwt.encode(jwt.decode(good, options={"verify_signature": False}), "", algorithm="none")
    assert await told(unsigned) == (401, '"invalid_token"')
    graph = await _token(sandbox, scope="https://graph.microsoft.com/.default")
    assert await told(graph) == (401, '"invalid_resource"')
    application.roles = ()
    assert await told(await _token(sandbox)) == (403, '"invalid_grant"')
    options.token_seconds = 0
    assert await told(await _token(sandbox)) == (401, '"token_expired"')
    application.tenant = "fabrikam.example"
    assert await told(good) == (401, '"invalid_tenant"')
    application.tenant = TENANT
    assert (await _find(sandbox, good)).codes == ["NoError"]
    sandbox.exchange.tokens.forget()
    assert await told(good) == (401, '"invalid_token"')


async def test_msal_over_tls_by_secret_and_by_certificate(tmp_path: Path) -> None:
    authority, signer = trustme.CA(), _Signer()
    context = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.configure_cert(tls)

    def work(url: str, client_id: str, credential: Any) -> dict[str, Any]:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(tmp_path / "ca.pem")
            client = msal.ConfidentialClientApplication(
                client_id,
                client_credential=credential,
                authority=url,
                validate_authority=False,
                instance_discovery=False,
                http_client=session,
            )
            return dict(client.acquire_token_for_client([SCOPE]))

    exchange = Exchange(users.invented("contoso.example", None))
    async with Sandbox(exchange, tls=tls) as sandbox:
        application, url = _application(sandbox), f"{sandbox.authority}/{TENANT}"
        application.certificate = signer.certificate
        thumbprint = signer.certificate.fingerprint(hashes.SHA1()).hex()
        by_key = {"private_key": signer.pem, "thumbprint": thumbprint}
        for credential in (application.client_secret, by_key):
            told = await asyncio.to_thread(work, url, application.client_id, credential)
            assert told.get("token_type") == "Bearer", told
        told = await asyncio.to_thread(work, url, application.client_id, "wrong")
        assert told["error_codes"] == [7000215]
