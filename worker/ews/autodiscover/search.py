"""The search: what is asked next, what an answer means for that, and where credentials may go.

A host is asked if its name entitles it to credentials (`Entitled`), or if an entitled one named it over TLS. So every
answer heeded comes from such a host, and the URL of EWS with it. What plain HTTP or the DNS name is asked only if its
own name entitles it.
"""

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from worker.ews.autodiscover.answers import Elsewhere, Endpoint, Failure, OtherAddress, Reading, Reply, Servers, read
from worker.ews.autodiscover.entitled import Entitled, domain_of, secure_host
from worker.ews.autodiscover.questions import Question, at, plan
from worker.ews.autodiscover.steps import Findings, Result, Step
from worker.profiles.model import is_loopback

MOST_REDIRECTS: Final = 10

_SILENT: Final = (Result.UNREACHABLE, Result.CERTIFICATE, Result.TIMEOUT)
_GIVE_LOCATION: Final = "give the profile location in place of autodiscover."
_NOT_ENTITLED: Final = f"If that server is yours, name its host in MAILROUTER_AUTODISCOVER_HOSTS, or {_GIVE_LOCATION}"


class Search:
    """One lookup. `online`: the host that Exchange Online is reached by, "" if the mailbox is elsewhere. `denied`: what
    to do where a server lets nobody in.
    """

    def __init__(self, address: str, entitled: Entitled, *, online: str = "", denied: str = "") -> None:
        self.address = address
        self._entitled = entitled
        self._online = online
        self._denied = denied
        self._steps: list[Step] = []
        self._waiting: deque[Question] = deque()
        self._asked: set[Question] = set()
        self._silent: set[str] = set()
        self._closed: set[str] = set()
        self._redirects = 0

    def questions(self) -> Generator[Question, Reply, Findings]:
        """Yields what to ask, takes what came of it, and returns what was found. Nothing is asked twice, no place
        again that does not answer, and none again with credentials that it has refused: so an account gets locked.
        """
        self._begin(self.address)
        while self._waiting:
            question = self._waiting.popleft()
            unheard = self._silent | self._closed if question.signs_in else self._silent
            if question in self._asked or question.place in unheard:
                continue
            self._asked.add(question)
            reading = read(question, (yield question), self._denied)
            if isinstance(reading, Failure) and question.place:
                if reading.result in _SILENT:
                    self._silent.add(question.place)
                elif reading.result is Result.DENIED:
                    self._closed.add(question.place)
            url = self._heed(question, reading)
            if url:
                return self.findings(url)
        return self.findings()

    def give_up(self, text: str) -> None:
        """Note that there was no time for more."""
        self._steps.append(Step("lookup", "", Result.TIMEOUT, text, _give_location()))

    def findings(self, url: str = "") -> Findings:
        """What was found so far."""
        return Findings(self.address, url, tuple(self._steps))

    def _begin(self, address: str) -> None:
        domain = domain_of(address)
        if domain:
            self._waiting = deque(plan(address, domain, self._online))
        else:
            text = f"{address!r} is not an address in a domain of the DNS"
            self._steps.append(Step("lookup", "", Result.REFUSED, text, "Check the address."))

    def _heed(self, question: Question, reading: Reading) -> str:
        """Note a step, and what is to be asked because of it. The URL of EWS, once it is there."""
        match reading:
            case Endpoint(url):
                return self._found(question, url)
            case Elsewhere(url) if question.method == "http":
                self._follow(question, f"to {url}", self._places(question, (url,)))
            case Elsewhere(url) if secure_host(url):
                self._follow(question, f"to {url}", iter((replace(question, url=url),)))
            case Elsewhere(url):
                self._note(question, Result.REFUSED, f"sends us to {url}, which is not https", _give_location())
            case OtherAddress(address):
                self._start_over(question, address)
            case Servers(hosts):
                urls = tuple(f"https://{host}/autodiscover/autodiscover.xml" for host in hosts)
                self._follow(question, "to " + ", ".join(hosts), self._places(question, urls))
            case Failure(result, text, remedy):
                self._note(question, result, text, remedy)
        return ""

    def _found(self, question: Question, url: str) -> str:
        if not secure_host(url) and not _on_this_machine(url):
            text = f"tells {url!r}, where credentials would not be safe: it is not https"
            self._note(question, Result.REFUSED, text, f"Let Exchange tell an https URL, or {_GIVE_LOCATION}")
            return ""
        self._note(question, Result.FOUND, url)
        return url

    def _follow(self, question: Question, where: str, following: Iterator[Question]) -> None:
        """Ask these next. That they were redirected is noted before what is wrong with a target."""
        if self._redirects >= MOST_REDIRECTS:
            self._note(question, Result.REFUSED, f"{where}: too many redirects", _give_location())
            return
        self._redirects += 1
        self._note(question, Result.REDIRECTED, where)
        wanted = list(following)
        if wanted and self._asked.issuperset(wanted):
            self._note(question, Result.REFUSED, f"{where}, which was asked already: a circle", _give_location())
        self._waiting.extendleft(reversed(wanted))

    def _places(self, question: Question, urls: tuple[str, ...]) -> Iterator[Question]:
        """The questions to places that nobody entitled has named."""
        for url in urls:
            host, domain = secure_host(url), domain_of(question.address)
            if not host:
                self._note(question, Result.REFUSED, f"{url} is not https", _give_location())
            elif not self._entitled.covers(host, domain):
                text = f"{host} is not under {domain}, and who named it cannot be known: it gets no credentials"
                self._note(question, Result.REFUSED, text, _NOT_ENTITLED)
            else:
                yield from at(urlsplit(url).netloc, question.address)

    def _start_over(self, question: Question, address: str) -> None:
        if address.casefold() == question.address.casefold():
            self._note(question, Result.REFUSED, f"sends us to {address}, the same again", _give_location())
        elif self._redirects >= MOST_REDIRECTS:
            self._note(question, Result.REFUSED, f"to the address {address}: too many redirects", _give_location())
        else:
            self._redirects += 1
            self._note(question, Result.REDIRECTED, f"to the address {address}")
            self._begin(address)

    def _note(self, question: Question, result: Result, text: str, remedy: str = "") -> None:
        """What servers say may hold anything, and is shown on terminals and written into logs."""
        printable = "".join(each if each.isprintable() else "\ufffd" for each in text)
        self._steps.append(Step(question.method, question.url, result, printable, remedy))


def _give_location() -> str:
    return _GIVE_LOCATION[0].upper() + _GIVE_LOCATION[1:]


def _on_this_machine(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and "@" not in parts.netloc and is_loopback(parts.hostname or "")
    except ValueError:
        return False
