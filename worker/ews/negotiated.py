"""Signing in by NTLM: a flow, as those of `worker/ews/auth.py`, in a file of its own for the library it loads."""

from worker.ews.auth import UNAUTHORIZED, Flow, Greeting
from worker.ews.connection import Connection
from worker.ews.endpoint import NtlmSignIn
from worker.ews.http_answer import Answer
from worker.ews.ntlm import Ntlm


class Negotiated:
    """NTLM over HTTP (MS-NTHT 3): the account proves itself to a connection, which stays signed in from then on.

    A greeting is answered by a challenge, and the request carries the proof. Where a connection that was signed in is
    replaced at that very moment, the request is refused first.
    """

    def __init__(self, account: NtlmSignIn) -> None:
        self._account = account

    def flow(self, connection: Connection) -> Flow:
        if connection.signed_in:
            answer = yield {}
            assert isinstance(answer, Answer)
            if answer.status != UNAUTHORIZED:
                return
            connection.signed_in = False
        for _ in range(3):  # one more for the other scheme, one for a connection that was replaced before the proof
            ntlm = Ntlm(self._account.username, self._account.password.resolve())
            scheme = connection.scheme
            challenged = yield Greeting({"Authorization": f"{scheme} {ntlm.greeting()}"})
            assert isinstance(challenged, Answer)
            if challenged.status != UNAUTHORIZED:
                return
            if scheme == "NTLM" and "ntlm" not in challenged.schemes and "negotiate" in challenged.schemes:
                connection.scheme = "Negotiate"
                continue
            channel = connection.channel
            proof = ntlm.proof(challenged.offered(scheme), connection.certificate)
            if proof is None:
                return
            answer = yield {"Authorization": f"{scheme} {proof}"}
            assert isinstance(answer, Answer)
            connection.signed_in = answer.status != UNAUTHORIZED
            if connection.signed_in or connection.channel is channel:
                return  # where it is the account that was refused: a few more times would lock it
