"""The CRM's database. Each method is one transaction: what an event changes and that it was seen hold together.

SQLite answers at once, so nothing here waits; over a network use your database's asynchronous driver.
"""

import json
import sqlite3
import uuid
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_TABLES = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS email (
    id INTEGER PRIMARY KEY,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    state_at TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    answers INTEGER NOT NULL DEFAULT 0,
    bounces INTEGER NOT NULL DEFAULT 0
);
-- Requests that the broker has not confirmed yet, each as it is published, however often that is.
CREATE TABLE IF NOT EXISTS outbox (event_id TEXT PRIMARY KEY, event TEXT NOT NULL);
-- The ids of events that were taken.
CREATE TABLE IF NOT EXISTS seen (event_id TEXT PRIMARY KEY);
-- What came in.
CREATE TABLE IF NOT EXISTS received (
    id INTEGER PRIMARY KEY, mailbox TEXT NOT NULL, sender TEXT NOT NULL, subject TEXT NOT NULL, email_id TEXT
);
COMMIT;
"""

_ONE_BOUNCE = "UPDATE email SET bounces = bounces + 1 WHERE id = ?"
_ONE_ANSWER = "UPDATE email SET answers = answers + 1 WHERE id = ?"


class Store:
    def __init__(self, file: Path) -> None:
        self._file = file
        with self._opened() as database:
            database.executescript(_TABLES)

    def write(self, sender: str, recipient: str, subject: str, text: str) -> str:
        """A new e-mail, and the request for it in the outbox; its email_id."""
        with self._opened() as database, database:
            made = database.execute(
                "INSERT INTO email (sender, recipient, subject) VALUES (?, ?, ?)", (sender, recipient, subject)
            )
            event = {
                "specversion": "1.0",
                "id": str(uuid.uuid4()),
                "source": "/crm/example",
                "type": "crm.email.send.v1",
                "time": datetime.now(UTC).isoformat(),
                "data": {
                    "email_id": f"letter-{made.lastrowid}",
                    "from": {"address": sender},
                    "to": [{"address": recipient}],
                    "subject": subject,
                    "body": {"text": text},
                },
            }
            database.execute("INSERT INTO outbox VALUES (?, ?)", (event["id"], json.dumps(event)))
        return f"letter-{made.lastrowid}"

    def outbox(self) -> dict[str, str]:
        """The requests to publish, by id, oldest first; at most a hundred."""
        with self._opened() as database:
            return dict(database.execute("SELECT event_id, event FROM outbox ORDER BY rowid LIMIT 100").fetchall())

    def confirmed(self, event_id: str) -> None:
        with self._opened() as database, database:
            database.execute("DELETE FROM outbox WHERE event_id = ?", (event_id,))

    def take(self, event: Mapping[str, Any]) -> bool:
        """Note what an event says; False if it was noted before."""
        with self._opened() as database, database:
            database.execute("BEGIN IMMEDIATE")  # two consumers may have the same event in hand
            new = database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (event["id"],)).rowcount == 1
            if new and event["type"] == "crm.email.received.v1":
                _receive(database, event["data"])
            elif new and event["type"] == "crm.email.bounced.v1":
                database.execute(_ONE_BOUNCE, (_number(event["data"]["email_id"]),))
            elif new:
                _change_state(database, event["type"].split(".")[2], event["data"])
        return new

    def emails(self) -> list[sqlite3.Row]:
        with self._opened() as database:
            return database.execute("SELECT * FROM email ORDER BY id").fetchall()

    def received(self) -> list[sqlite3.Row]:
        with self._opened() as database:
            return database.execute("SELECT * FROM received ORDER BY id").fetchall()

    def _opened(self) -> "closing[sqlite3.Connection]":
        database = sqlite3.connect(self._file, timeout=30)
        database.row_factory = sqlite3.Row
        return closing(database)


def _change_state(database: sqlite3.Connection, state: str, data: Mapping[str, Any]) -> None:
    """`accepted` is for good; of the others the latest counts, for events may come in any order.

    Times are UTC and all of one length, so texts compare as times do.
    """
    database.execute(
        "UPDATE email SET state = :state, state_at = :at, detail = :detail WHERE id = :id AND state != 'accepted'"
        " AND (:state = 'accepted' OR state_at <= :at)",
        {
            "id": _number(data["email_id"]),
            "state": state,
            "at": data["occurred_at"],
            "detail": data.get("reason", {}).get("message", ""),
        },
    )


def _receive(database: sqlite3.Connection, data: Mapping[str, Any]) -> None:
    answered = data["correlation"].get("email_id")
    sender = data.get("from", {}).get("address", "")
    database.execute(
        "INSERT INTO received (mailbox, sender, subject, email_id) VALUES (?, ?, ?, ?)",
        (data["mailbox"], sender, data["subject"], answered),
    )
    if answered and not data.get("automatic"):
        database.execute(_ONE_ANSWER, (_number(answered),))


def _number(email_id: str) -> int:
    """The e-mail's key here; 0, which is none, for those of somebody else."""
    prefix, _, number = email_id.partition("-")
    return int(number) if prefix == "letter" and number.isdecimal() else 0
