"""python -m examples.crm send FROM TO SUBJECT TEXT    write an e-mail
python -m examples.crm run                          publish what was written, take what the router tells
python -m examples.crm list                         the e-mails and what became of them

MAILROUTER_AMQP_URL names the broker, CRM_DATABASE the database (crm.sqlite).
"""

import asyncio
import os
import sys
from pathlib import Path

import aio_pika

from examples.crm.consume import INBOUND, STATUS, consume
from examples.crm.publish import publish
from examples.crm.store import Store

_LOST = (aio_pika.exceptions.AMQPError, aio_pika.exceptions.ChannelInvalidStateError, OSError, TimeoutError)
_AGAIN_SECONDS = 1


async def run(store: Store) -> None:
    """Everything over one connection; when that is lost, everything over a new one. Unacked events come again."""
    while True:
        try:
            async with (
                await aio_pika.connect(os.environ["MAILROUTER_AMQP_URL"]) as connection,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(publish(connection, store))
                group.create_task(consume(connection, STATUS, store))
                group.create_task(consume(connection, INBOUND, store))
        except* _LOST as lost:
            print(f"the broker is away: {lost.exceptions[0]}", file=sys.stderr)
        await asyncio.sleep(_AGAIN_SECONDS)


def main() -> None:
    store = Store(Path(os.environ.get("CRM_DATABASE", "crm.sqlite")))
    match sys.argv[1:]:
        case ["send", sender, recipient, subject, text]:
            print(store.write(sender, recipient, subject, text))
        case ["run"]:
            asyncio.run(run(store))
        case ["list"]:
            for each in store.emails():
                print(f"letter-{each['id']} {each['state']}, answers {each['answers']}, bounces {each['bounces']}")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
