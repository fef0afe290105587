"""A CRM at its smallest: what a CRM needs of its own to send and receive mail over the router, in SQLite.

`store.py` is the part to understand: an outbox, and an inbox that drops repeats. `publish.py` empties the one,
`consume.py` fills the other, `__main__.py` is the command.
"""
