"""An application registered in a tenant: it proves itself with a secret or a certificate and acts for mailboxes."""

from dataclasses import dataclass, field
from typing import Final
from uuid import NAMESPACE_DNS, UUID, uuid5

from cryptography import x509

FULL_ACCESS: Final = "full_access_as_app"


@dataclass(slots=True, eq=False)
class Application:
    """`tenant`: the directory it is registered in, by id or domain. `mailboxes`: those it may act for, in lower case,
    or `*` for all.
    """

    tenant: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    certificate: x509.Certificate | None = None
    roles: tuple[str, ...] = (FULL_ACCESS,)
    mailboxes: set[str] = field(default_factory=lambda: {"*"})
    secret_expired: bool = False

    @property
    def tenant_id(self) -> str:
        """The tenant's id, where only its domain was given: one made of that."""
        try:
            return str(UUID(self.tenant))
        except ValueError:
            return str(uuid5(NAMESPACE_DNS, self.tenant.casefold()))

    def is_of(self, tenant: str) -> bool:
        return tenant.casefold() in (self.tenant.casefold(), self.tenant_id)
