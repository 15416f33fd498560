"""One way to ask Fireworks: resources by their whole names, lists page by page."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from ftctl.errors import Unavailable, UsageError
from ftctl.providers.fireworks.wire import Named, Page, Row
from ftctl.providers.transport.documents import Document
from ftctl.providers.transport.http_connection import HttpConnection, segment
from ftctl.providers.transport.http_errors import no_answer

ACCOUNT = "FIREWORKS_ACCOUNT_ID"
PAGE = 200  # rows; the most it gives
_Doc = TypeVar("_Doc", bound=Document)
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Fireworks:
    """Asks for resources, named as `accounts/A/KIND/ID`.

    Args:
        who: Whom messages name.
        base_url: Where to ask, without the `/v1` of its paths.
    """

    def __init__(self, who: str, base_url: str) -> None:
        self._who = who
        self._at = HttpConnection(who, base_url, "fireworks")
        self._account = ""

    def require(self) -> None:
        """Refuse when it can't be asked at all.

        Raises:
            CredentialsMissing, UsageError: no usable key or base URL, or no account's name.
        """
        self._at.require()
        self._named_account()

    def account(self) -> str:
        """`accounts/A`: of the variable, or the only one that the key opens; asked once.

        Raises:
            UsageError: it opens more than one, or none.
        """
        if not self._account:
            self._account = self._named_account() or self._only_account()
        return self._account

    def one(
        self,
        doing: str,
        document: type[_Doc],
        method: str,
        name: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> _Doc:
        """A document that is asked for; raises as `HttpConnection.one`."""
        return self._at.one(doing, document, method, _path(name), query=query, body=body)

    def ask(
        self, doing: str, method: str, name: str, *, body: Mapping[str, Any] | None = None
    ) -> bytes:
        """The body of an answer; raises as `HttpConnection.ask`."""
        return self._at.ask(doing, method, _path(name), body=body)

    def send_file(self, doing: str, name: str, file: Path, called: str) -> None:
        """Send a file as a form; raises as `HttpConnection.ask`."""
        self._at.send_file(doing, _path(name), file, name=called)

    def rows(self, doing: str, row: type[Row], name: str, kind: str) -> Iterator[Row]:
        """Every row of a list, page by page.

        Args:
            doing: What is asked, after "asked to".
            row: What its rows are.
            name: The list's own name.
            kind: Under what its rows stand.

        Raises:
            Unavailable: rows that aren't the API's, or a page that comes again.
        """
        token, seen = "", {""}
        while True:
            query: dict[str, str | int] = {"pageSize": PAGE}
            query |= {"pageToken": token} if token else {}
            page = self.one(doing, Page, "GET", name, query=query)
            try:
                rows = [row.model_validate(each) for each in page.rows(kind)]
            except (ValidationError, TypeError):
                raise no_answer(self._who, doing) from None
            yield from rows
            token = page.next_page_token or ""
            if not token:
                return
            if token in seen:
                raise Unavailable(f"asked to {doing}, {self._who} sends the same page again")
            seen.add(token)

    def gone(self, name: str) -> None:
        """Delete a resource and see that it is gone; raises as `HttpConnection.gone`."""
        self._at.gone(name, _path(name))

    def _named_account(self) -> str:
        named = os.environ.get(ACCOUNT, "").strip().removeprefix("accounts/")
        if named and not _ACCOUNT.fullmatch(named):
            raise UsageError(
                f"{ACCOUNT} isn't an account's id", hint=f"export {ACCOUNT}=my-account"
            )
        return f"accounts/{named}" if named else ""

    def _only_account(self) -> str:
        found = [row.name for row in self.rows("list accounts", Named, "accounts", "accounts")]
        if len(found) != 1:
            opened = ", ".join(name.removeprefix("accounts/") for name in found[:5]) or "none"
            raise UsageError(
                f"which account of {self._who}? The key opens {opened}",
                hint=f"export {ACCOUNT}=ID",
            )
        return found[0]


def _path(name: str) -> str:
    """A resource's path: no part of its name can be another part, or leave the API."""
    stem, colon, verb = name.partition(":")
    return "/v1/" + "/".join(segment(part) for part in stem.split("/")) + colon + verb
