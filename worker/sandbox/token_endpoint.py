"""The token endpoint, as Entra's: discovery, keys, and tokens for applications (the client credentials grant)."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from aiohttp import web

from worker.sandbox import assertion
from worker.sandbox.application import Application
from worker.sandbox.assertion import Denial
from worker.sandbox.exchange import Exchange
from worker.sandbox.guarded import in_json
from worker.sandbox.tokens import RESOURCES

_DEFAULT: Final = "/.default"
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_OTHER_RESOURCES: Final = ("https://graph.microsoft.com",)
"""Services for which there are tokens, too; Exchange does not take them."""


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    exchange: Exchange

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/{tenant}/.well-known/openid-configuration", self._configuration),
            web.get("/{tenant}/v2.0/.well-known/openid-configuration", self._configuration),
            web.get("/{tenant}/discovery/v2.0/keys", self._keys),
            web.post("/{tenant}/oauth2/v2.0/token", self._token),
        ]

    async def _configuration(self, request: web.Request) -> web.Response:
        try:
            base = _base(request, self._tenant(request)[0])
        except Denial as denial:
            return self._denied(denial, request)
        return in_json(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "scopes_supported": ["openid"],
            }
        )

    async def _keys(self, _request: web.Request) -> web.Response:
        return in_json(self.exchange.tokens.keys())

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        self.exchange.requests["token"] += 1
        try:
            application = self._application(request, form)
            audience = self._audience(request, form.get("scope", ""), application)
        except Denial as denial:
            return self._denied(denial, request)
        issuer = f"{_base(request, application)}/v2.0"
        seconds = self.exchange.options.token_seconds
        return in_json(
            {
                "token_type": "Bearer",
                "expires_in": seconds,
                "ext_expires_in": seconds,
                "access_token": self.exchange.tokens.issue(application, audience, issuer),
            }
        )

    def _tenant(self, request: web.Request) -> list[Application]:
        """The applications of the tenant in the path, at least one. Raises Denial."""
        tenant = request.match_info["tenant"]
        found = [each for each in self.exchange.directory.applications.values() if each.is_of(tenant)]
        if not found:
            raise Denial(400, "invalid_request", 90002, f"Tenant '{tenant}' not found. Check that it is the right one.")
        return found

    def _application(self, request: web.Request, form: dict[str, str]) -> Application:
        """The one that proves itself. Raises Denial."""
        if not self.exchange.options.tokens_given:
            raise Denial(503, "temporarily_unavailable", 90033, "A transient error has occurred. Please try again.")
        known = self._tenant(request)
        for name in ("grant_type", "client_id"):
            if not form.get(name):
                text = f"The request body must contain the following parameter: '{name}'."
                raise Denial(400, "invalid_request", 900144, text)
        if form["grant_type"] != "client_credentials":
            text = f"The app requested an unsupported grant type '{form['grant_type']}'."
            raise Denial(400, "unsupported_grant_type", 70003, text)
        client_id = form["client_id"]
        application = next((each for each in known if each.client_id.casefold() == client_id.casefold()), None)
        if application is None:
            tenant = request.match_info["tenant"]
            text = f"Application with identifier '{client_id}' was not found in the directory '{tenant}'."
            raise Denial(400, "unauthorized_client", 700016, text)
        if form.get("client_assertion_type") == _ASSERTION_TYPE and form.get("client_assertion"):
            base = _base(request, application)
            named = f"{request.scheme}://{request.host}{request.path}"
            audiences = (named, f"{base}/oauth2/v2.0/token", f"{base}/v2.0")
            assertion.check(form["client_assertion"], application, audiences, self.exchange.clock.now())
        else:
            _check_secret(application, form.get("client_secret", ""))
        return application

    @staticmethod
    def _audience(request: web.Request, scope: str, application: Application) -> str:
        """Raises Denial."""
        if not scope:
            text = "The provided request must include a 'scope' input parameter."
            raise Denial(400, "invalid_scope", 70011, text)
        if not scope.endswith(_DEFAULT) or " " in scope:
            text = (
                f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value "
                "with /.default suffixed to the resource identifier (application ID URI)."
            )
            raise Denial(400, "invalid_scope", 1002012, text)
        resource = scope.removesuffix(_DEFAULT).rstrip("/")
        if resource not in (*RESOURCES, *_OTHER_RESOURCES, _origin(request)):
            text = f"The resource principal named {resource} was not found in the tenant named {application.tenant}."
            raise Denial(400, "invalid_resource", 500011, text)
        return resource

    def _denied(self, denial: Denial, request: web.Request) -> web.Response:
        now = self.exchange.clock.now()
        trace, correlation = str(uuid4()), request.headers.get("client-request-id", str(uuid4()))
        text = f"AADSTS{denial.number}: {denial.text} Trace ID: {trace} Correlation ID: {correlation}"
        told: dict[str, Any] = {
            "error": denial.error,
            "error_description": f"{text} Timestamp: {now:%Y-%m-%d %H:%M:%SZ}",
            "error_codes": [denial.number],
            "timestamp": f"{now:%Y-%m-%d %H:%M:%SZ}",
            "trace_id": trace,
            "correlation_id": correlation,
        }
        answer = in_json(told)
        answer.set_status(denial.status)
        return answer


def _check_secret(application: Application, secret: str) -> None:
    """Raises Denial."""
    if not secret:
        text = "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type."
        raise Denial(401, "invalid_client", 7000216, text)
    if secret != application.client_secret:
        text = (
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
            f"not the client secret ID, for a secret added to app '{application.client_id}'."
        )
        raise Denial(401, "invalid_client", 7000215, text)
    if application.secret_expired:
        text = f"The provided client secret keys for app '{application.client_id}' are expired."
        raise Denial(401, "invalid_client", 7000222, text)


def _origin(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _base(request: web.Request, application: Application) -> str:
    """The tenant's address as the client knows it, with the tenant's id."""
    return f"{_origin(request)}/{application.tenant_id}"
