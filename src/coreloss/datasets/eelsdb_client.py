"""A polite client of a web API: one request at a time, named, and patient with a busy server."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

TIMEOUT_S = 60.0
TRIES = 5
LONGEST_WAIT_S = 300.0
BUSY = (429, 500, 502, 503, 504)
PAST_THE_END = (400, 404)
"""How a server may answer to a page behind the last one."""


class Unavailable(ValueError):
    """The server answers, but not with this file."""


class Client:
    """Requests with ``interval_s`` between them at least, repeated while the server is busy.

    It waits as long as ``Retry-After`` says, else twice as long after each try.
    """

    def __init__(self, *, interval_s: float, tries: int = TRIES) -> None:
        if not interval_s >= 0:
            raise ValueError(f"interval is {interval_s} s; allowed: 0 or more, such as 1")
        self.interval_s = interval_s
        self.tries = tries
        self.headers = {
            "User-Agent": f"coreloss/{version('coreloss')} (EELS element identification)"
        }
        self._earliest = 0.0

    def records(self, url: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        """The list of records that a query returns; empty behind the last page."""
        import requests

        def ask() -> Any:
            answer = requests.get(url, params=query, headers=self.headers, timeout=TIMEOUT_S)
            if query.get("page", 1) > 1 and answer.status_code in PAST_THE_END:
                return []
            answer.raise_for_status()
            return answer.json()

        try:
            found = self._patiently(ask, url)
        except requests.HTTPError as error:
            raise ValueError(
                f"{url}: HTTP {_answer_to(error).status_code}; check the query"
            ) from None
        except requests.JSONDecodeError:
            raise ValueError(f"{url}: the answer is not JSON; is this the API?") from None
        if isinstance(found, dict) and "message" in found and query.get("page", 1) > 1:
            return []
        if not isinstance(found, list) or not all(isinstance(e, dict) and "id" in e for e in found):
            message = found.get("message", "no list of records") if isinstance(found, dict) else ""
            raise ValueError(f"{url}: unexpected answer ({message or 'records without id'})")
        return found

    def download(self, url: str, path: Path) -> None:
        """Write a file to ``path``; `Unavailable` when the server refuses it."""
        import pooch
        import requests

        get = pooch.HTTPDownloader(headers=self.headers, timeout=TIMEOUT_S)
        try:
            self._patiently(lambda: get(url, str(path), None), url)
        except requests.HTTPError as error:
            status = _answer_to(error).status_code
            raise Unavailable(f"file not available (HTTP {status})") from None

    def _patiently(self, request: Callable[[], Any], url: str) -> Any:
        import requests

        lost = (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        )
        reason = "not asked"
        for attempt in range(self.tries):
            self._wait_for_turn()
            wait_s = self.interval_s * 2**attempt
            try:
                return request()
            except requests.HTTPError as error:
                answer = _answer_to(error)
                if answer.status_code not in BUSY:
                    raise
                reason = f"HTTP {answer.status_code}"
                wait_s = max(wait_s, _retry_after_s(answer.headers.get("Retry-After")))
            except lost as error:
                reason = type(error).__name__
            if wait_s > LONGEST_WAIT_S:
                break
            self._earliest = time.monotonic() + wait_s
        raise ValueError(
            f"{url}: cannot be had ({reason}); what was fetched before is kept: run the same "
            "command again later"
        )

    def _wait_for_turn(self) -> None:
        time.sleep(max(0.0, self._earliest - time.monotonic()))
        self._earliest = time.monotonic() + self.interval_s


def _answer_to(error: requests.HTTPError) -> requests.Response:
    assert error.response is not None  # it is raised for the status of an answer
    return error.response


def _retry_after_s(text: str | None) -> float:
    """Seconds of a Retry-After header, which holds seconds or a date; 0 where there is none."""
    if not text:
        return 0.0
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0
