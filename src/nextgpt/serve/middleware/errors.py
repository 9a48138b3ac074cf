"""Answer to exceptions that no route handled."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nextgpt.serve.errors import error_response


class ErrorBoundary:
    """Turns exceptions into error responses; after the response has started they are only logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; no exception leaves this method except for the lifespan's."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception as error:
            response = error_response(error)  # logs internal errors
            if not has_started:
                await response(scope, receive, send)
