"""Who may ask: every route but the health check wants the bearer token."""

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ftctl.server.errors import ApiError

OPEN_PATHS = frozenset({"/healthz"})


class BearerAuth:
    """Answers 401 to whoever doesn't bring the token, before a byte of the body is read.

    Args:
        app: What stands behind it.
        token: The one token.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._knows(scope):
            await self._app(scope, receive, send)
            return
        error = ApiError(
            401,
            "Incorrect or missing API key. Send the token of `ftctl serve` as "
            "`Authorization: Bearer …`; `ftctl token` says where it is.",
            code="invalid_api_key",
        )
        await error.response()(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        # latin-1 is what header bytes are decoded by, so that any bytes can be compared.
        same = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
        return scheme.lower() == "bearer" and same
