"""An account of exchangelib's, which nobody here wrote, in the sandbox Exchange."""

from typing import Any

from exchangelib import BASIC, DELEGATE, Account, Configuration, Credentials

ANNA = "anna@contoso.example"


def account_of(
    url: str,
    address: str = ANNA,
    username: str = "",
    password: str = "sandbox",
    *,
    connections: int = 1,
    **how: Any,
) -> Account:
    """Signed in as the mailbox itself, unless another name is given; `how` is for exchangelib."""
    configuration = Configuration(
        service_endpoint=url,
        credentials=Credentials(username or address, password),
        auth_type=BASIC,
        max_connections=connections,
    )
    return Account(address, config=configuration, autodiscover=False, **{"access_type": DELEGATE, **how})
