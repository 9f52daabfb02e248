"""HTTP as the desk's handlers see it: requests, answers, and an application that leads one to the other. No sockets here.

fields       the fields of a message
request      what was asked
answer       what is answered, at once or piece by piece
application  routes and what stands before them
"""

from proxy.query.web.answer import Response, StreamResponse
from proxy.query.web.application import Application, BadBody, Handler, HTTPException, MethodNotAllowed, NotFound, TooLarge
from proxy.query.web.fields import Fields, NewFields
from proxy.query.web.request import Request, Way

__all__ = [
    "Application",
    "BadBody",
    "Fields",
    "HTTPException",
    "Handler",
    "MethodNotAllowed",
    "NewFields",
    "NotFound",
    "Request",
    "Response",
    "StreamResponse",
    "TooLarge",
    "Way",
]
