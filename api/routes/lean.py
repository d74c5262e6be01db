"""The short way through the framework for the routes that are asked most.

For a request with a token, a proof and a JSON body, FastAPI's general machinery (parameter by parameter, each with its
own error list and exit stack) costs as much as checking the proof does half over. A route of this class reads the body
once, lets its model validate it, checks the credential, and calls the endpoint. Whatever is not plainly good (another
media type, a body that does not parse or fit) goes the general way instead, which then finds the fault and words it:
there is one set of errors.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from api.authn.credential import credential

Endpoint = Callable[[Request, Any, Any], Awaitable[Response]]

_JSON: Final = "application/json"


class Lean(APIRoute):
    """A route whose endpoint takes `(request, credential: Bearer, body: Model)` and returns a finished response."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler that FastAPI calls with each request."""
        general = super().get_route_handler()
        endpoint: Endpoint = self.endpoint
        body = self.body_field
        model = None if body is None else body.field_info.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError("a lean route takes one model as its body")
        read = model.model_validate_json

        async def handle(request: Request) -> Response:
            if request.headers.get("content-type") != _JSON:
                return await general(request)
            try:
                asked = read(await request.body())  # kept by the request: the general way finds it there
            except ValidationError:
                return await general(request)
            return await endpoint(request, await credential(request), asked)

        return handle
