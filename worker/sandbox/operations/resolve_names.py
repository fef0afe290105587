"""ResolveNames: a mailbox by its address. Clients use it to see whether the server answers at all."""

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.operations.operation import Operation
from worker.sandbox.soap import Refusal, answer, escape, m, refused, success


async def _handle(exchange: Exchange, call: Call) -> bytes:
    entry = (call.element.findtext(m("UnresolvedEntry")) or "").strip()
    user = exchange.directory.find(entry.removeprefix("smtp:"))
    if user is None:
        refusal = Refusal("ErrorNameResolutionNoResults", "No results were found.")
        return answer("ResolveNames", [refused("ResolveNames", refusal)])
    return answer(
        "ResolveNames",
        [
            success(
                "ResolveNames",
                '<m:ResolutionSet TotalItemsInView="1" IncludesLastItemInRange="true"><t:Resolution><t:Mailbox>'
                f"<t:Name>{escape(user.name or user.address)}</t:Name>"
                f"<t:EmailAddress>{escape(user.address)}</t:EmailAddress><t:RoutingType>SMTP</t:RoutingType>"
                "<t:MailboxType>Mailbox</t:MailboxType></t:Mailbox></t:Resolution></m:ResolutionSet>",
            )
        ],
    )


RESOLVE_NAMES = Operation(_handle)
