"""A bucket on loopback, as vendors keep files in: the link is the key, and any other is refused."""

import secrets

from typing_extensions import override

from ftctl.testing.loopback import Answer, Loopback, Request, ranged


class StorageVendor(Loopback):
    """The bucket, on a host of its own: `localhost`, where the vendors are 127.0.0.1.

    Attributes:
        held: What it holds, by path.
    """

    def __init__(self) -> None:
        super().__init__(None, prefix="")
        self.held: dict[str, bytes] = {}
        self._signatures: set[str] = set()

    def link(self, path: str) -> str:
        """A signed link that takes or gives the file at a path, which begins with a slash."""
        signature = secrets.token_hex(8)
        self._signatures.add(signature)
        return f"{self.base_url.replace('127.0.0.1', 'localhost')}{path}?signature={signature}"

    @override
    def right_key(self, authorization: str) -> bool:
        return not authorization  # a vendor's key must never come here

    @override
    def answer(self, request: Request) -> Answer:
        if request.query.get("signature") not in self._signatures:
            return self.refusal(403, "this link has run out")
        if request.method == "PUT":
            self.held[request.path] = request.body
            return Answer(b"")
        content = self.held.get(request.path)
        if request.method != "GET" or content is None:
            return self.refusal(404, "nothing is kept there")
        return ranged(request, content, f'"{hash(content):x}"')
