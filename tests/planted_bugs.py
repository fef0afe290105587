"""Break the product on purpose, one rule at a time, and see a test fail: `python -m tests.planted_bugs`.

Each bug is a change of source text in a copy of the tree, and names the test that must notice it: of those that would,
one that is quick about it. A bug that is not noticed, or whose text is no longer there, is an error. Exit status 0:
every bug was noticed.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
RUN_SECONDS: Final = 300
"""Of one run. It takes some seconds, of which most are the start."""

NOT_NEEDED: Final = ("bad_configs", "corpus")
"""Half of the files, and no bug names a test of theirs."""

_SENDING = "tests/simulation/test_one_mail_per_request.py"
SWARM = f"{_SENDING}::test_swarm_of_faults"
RACE = f"{_SENDING}::test_two_copies_two_workers_no_fault"
CHANGE = f"{_SENDING}::test_profiles_change_meanwhile"
READING = "tests/simulation/test_every_mail_once.py"


@dataclass(frozen=True)
class Bug:
    name: str
    test: str
    changes: tuple[tuple[str, str, str], ...]


# Texts that stand in several places of the tree are named here, with enough around them to be found once.
RULES, PIPELINE, SETTLE = "worker/outbound/rules.py", "worker/outbound/pipeline.py", "worker/outbound/settle.py"
BOOK = "worker/profiles/book.py"
LOOK, SCAN = "worker/ews/look.py", "worker/ews/scan.py"
POLL, POLLER, CURSOR = "worker/inbound/poll.py", "worker/inbound/poller.py", "worker/inbound/cursor.py"

_LEFT = "    if sight.left_as is not None:\n        return Done(Delivered(sight.left_as or entry.drafted_as))\n"
_UNKNOWN = "        case Unknown(reason):\n            return _unanswered(entry, reason)\n        case Deferred():"
_FETCHED = "        case Deferred():\n            return _deferred(entry, outcome)\n        case _:"
_ACK = "            for delivery in deliveries:\n                await delivery.ack()\n"

BUGS = (
    Bug(
        "what the look shows is skipped, our draft is sent",
        f"{SWARM}[50]",  # some seeds before it go on in circles for a minute, and fail then
        ((RULES, _LEFT, "    if sight.live:\n        return Send(sight.live[-1])\n" + _LEFT),),
    ),
    Bug(
        "the look comes before the draft instead of after it",
        RACE,
        (
            (PIPELINE, "if entry.verdict or entry.unlooked", "if True or entry.unlooked"),
            (RULES, _LEFT, "    if entry.doubt and sight.live:\n        return Send(sight.live[-1])\n" + _LEFT),
        ),
    ),
    Bug(
        "where mail was before profiles changed is forgotten",
        CHANGE,
        (
            (
                BOOK,
                "return Way(route, (*others.values(), route.working), closes_at)",
                "return Way(route, (route.working,))",
            ),
        ),
    ),
    Bug(
        "the folders are looked through in the wrong order",
        "tests/unit/ews/test_exchange.py",
        ((SCAN, "pending = list(self._seen)", "pending = list(self._seen)[::-1]"),),
    ),
    Bug("a draft is sent although several were seen", SWARM, ((RULES, "case (alone,):", "case (alone, *_):"),)),
    Bug(
        "not found on sending counts as accepted",
        SWARM,
        (
            (
                RULES,
                _UNKNOWN,
                '        case Unknown():\n            return Done(Delivered("<a@b>"))\n        case Deferred():',
            ),
        ),
    ),
    Bug(
        "the ack comes before the status",
        SWARM,
        (
            (
                SETTLE,
                f"            name = await work\n{_ACK}",
                f"{_ACK}            name = await work\n",
            ),
        ),
    ),
    Bug(
        "a lost answer to a send is answered by sending again",
        "tests/unit/outbound/test_rules.py",
        ((RULES, _UNKNOWN, "        case Unknown(reason):\n            return entry.step\n        case Deferred():"),),
    ),
    Bug(
        "a submitted draft is taken for a live one, and sent with its fresh ChangeKey",
        "tests/unit/ews/test_look.py",
        (
            (LOOK, "if row.stamp and not row.submitted)", "if row.stamp)"),
            (LOOK, "(row.submitted or folder is not Folder.DRAFTS)", "folder is not Folder.DRAFTS"),
        ),
    ),
    Bug(
        "a confirmed draft that is gone is made again",
        "tests/unit/outbound/test_rules.py",
        ((RULES, "return _nothing(entry) if entry.doubt else Create()", "return Create()"),),
    ),
    Bug(
        "expired is failed without a look",
        SWARM,
        (
            (
                RULES,
                "    if entry.verdict or entry.leaving:\n        return LookFor()\n",
                "    if entry.verdict:\n        return Done(Rejected(entry.verdict))\n",
            ),
            (PIPELINE, "if entry.verdict or entry.unlooked", "if False and entry.unlooked"),
        ),
    ),
    Bug(
        "a file that cannot be had fails its mail without a look",
        "tests/unit/outbound/test_files_by_url.py",
        (
            (
                RULES,
                f"            entry.verdict = reason\n            return LookFor()\n{_FETCHED}",
                f"            return Done(Rejected(reason))\n{_FETCHED}",
            ),
        ),
    ),
    Bug(
        "no answer to a create is taken for a refusal",
        SWARM,
        (
            (
                RULES,
                "            return _unanswered(entry, reason)\n        case Rejected(reason):",
                "            return Done(Rejected(reason))\n        case Rejected(reason):",
            ),
        ),
    ),
    Bug(
        "the cursor moves before the events are confirmed",
        READING,
        (
            (
                POLL,
                "await self._take(owed) or await self._pass(page)",
                "await self._pass(page) or await self._take(owed)",
            ),
        ),
    ),
    Bug(
        "a ticket is acked before its poll has ended",
        READING,
        (
            (
                POLLER,
                "        try:\n            if ticket",
                "        try:\n            await delivery.ack()\n            if ticket",
            ),
        ),
    ),
    Bug(
        "what was never owed is forgotten with the sync state",
        READING,
        ((CURSOR, 'replace(self, state="", walking', 'replace(self, state="", since=None, walking'),),
    ),
    Bug(
        "a mail that failed to be published is passed by",
        READING,
        (
            (
                POLL,
                "            _unsettle(taken)\n            return held",
                "            _unsettle(taken)\n            return None",
            ),
        ),
    ),
    Bug(
        "a mail counts as dealt with before it is published",
        READING,
        (
            (
                POLL,
                "        await self._publish(waiting)",
                "        self._deal(*(each for each, _ in waiting))\n        await self._publish(waiting)",
            ),
        ),
    ),
    Bug(
        "a mail is put away before it is published",
        READING,
        (
            (
                POLL,
                "        await self._publish(waiting)",
                (
                    "        await self._mailbox.finish([each for each, _ in waiting], self._route.profile.after)\n"
                    "        await self._publish(waiting)"
                ),
            ),
        ),
    ),
)


def noticed(bug: Bug) -> str:
    """Plant the bug in a copy and run its test; "" if that fails as it must, else what is wrong."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "tree"
        # With its byte code, since to compile all takes a second; but another test run may be writing some.
        left_out = shutil.ignore_patterns("*.pyc.*", *NOT_NEEDED)
        for part in ("worker", "tests", "schemas", "scripts"):
            shutil.copytree(ROOT / part, copy / part, ignore=left_out)
        shutil.copy(ROOT / "pyproject.toml", copy)
        for file, old, new in bug.changes:
            text = (copy / file).read_text()
            if text.count(old) != 1:
                return f"{file} holds the text to be broken {text.count(old)} times, not once"
            (copy / file).write_text(text.replace(old, new))
            Path(importlib.util.cache_from_source(copy / file)).unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", bug.test]
        usual = {name: value for name, value in os.environ.items() if name != "MAILROUTER_SIMULATION_SEEDS"}
        run = subprocess.run(
            command, cwd=copy, env=usual, capture_output=True, text=True, check=False, timeout=RUN_SECONDS
        )
        return "" if run.returncode == 1 and " failed" in run.stdout else f"the tests ended with {run.returncode}"


def main() -> int:
    missed = 0
    with ThreadPoolExecutor(2) as pool:
        for bug, wrong in zip(BUGS, pool.map(noticed, BUGS), strict=True):
            missed += bool(wrong)
            sys.stdout.write(f"{'MISSED' if wrong else 'noticed':<8} {bug.name}{': ' + wrong if wrong else ''}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
