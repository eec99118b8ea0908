"""Checks the API key of each request."""

import logging

from starlette.types import ASGIApp, Receive, Scope, Send

from bentos.skin.errors import ApiKeyMissing, ApiKeyWrong, ShineError
from bentos.skin.keys import is_short, matching_entry, read_entry
from bentos.skin.runtime.context import current
from bentos.skin.runtime.error_responses import refuse
from bentos.skin.runtime.uploads import body_of, headers_of, spec_of, upload_specs
from bentos.skin.settings import OPEN_PATHS, PAGE_PATH, Settings

log = logging.getLogger("shine.gateway")


class ApiKeyMiddleware:
    """Answers 401 to requests without a valid key; the open paths and a service without keys need none."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._specs = upload_specs(settings)
        self._entries = [read_entry(key.get_secret_value()) for key in settings.api_keys]
        for number, key in enumerate(settings.api_keys, 1):
            if is_short(key.get_secret_value()):
                log.warning(
                    "an API key is short enough to be guessed; make key makes a long one",
                    extra={"fields": {"entry": number}},
                )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                current().api_key = self._check(scope)
            except ShineError as error:
                body = body_of(scope, receive, spec_of(scope, self._specs), self._settings)
                await refuse(error, body, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> int | None:
        """Index of the key that was sent; None where none is needed."""
        if not self._entries or scope["path"] in OPEN_PATHS or scope["path"].startswith(f"{PAGE_PATH}/"):
            return None
        headers = headers_of(scope)
        given = headers.get(b"x-api-key", b"").strip()
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if not given and scheme.lower() == b"bearer":
            given = token.strip()
        if not given:
            raise ApiKeyMissing("This service requires an API key.")
        index = matching_entry(self._entries, given)
        if index is None:
            raise ApiKeyWrong("This API key is not known.")
        return index
