"""ConvertId: only the form ids already have. Clients ask it to see whether the server answers at all."""

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.operations.operation import Operation, each
from worker.sandbox.soap import Element, Fault, Refusal, answer, escape, m


async def _handle(exchange: Exchange, call: Call) -> bytes:
    ids = call.element.find(m("SourceIds"))
    if ids is None or len(ids) == 0:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: SourceIds is missing or empty.")

    def act(source: Element) -> str:
        item = exchange.store.item(source.get("Id") or "")
        if call.element.get("DestinationFormat") != "EwsId":
            raise Refusal("ErrorInvalidOperation", "The sandbox knows the format EwsId only.")
        mailbox = escape(source.get("Mailbox") or "")
        return (
            f'<m:AlternateId xmlns:xsi="{_INSTANCE}" xsi:type="t:AlternateIdType" Format="EwsId" Id="{item.id}" '
            f'Mailbox="{mailbox}"/>'
        )

    return answer("ConvertId", each("ConvertId", ids, act))


_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

CONVERT_ID = Operation(_handle)
