"""A handler that is fit for several invocations at once in one environment (Lambda Managed Instances): what belongs to
one invocation is local or in a ContextVar, what is shared is changed under a lock."""

import threading
from contextvars import ContextVar

request = ContextVar("request")

_lock = threading.Lock()
_served = 0


def greet(name):
    return f"Hello, {name}! ({request.get()})"


def handler(event, context):
    global _served
    request.set(context.aws_request_id)
    with _lock:
        _served += 1
        served = _served
    return {"greeting": greet(event.get("name", "world")), "served": served}
