"""The quickstart's handler: greets, and says which Python it runs on."""

import sys


def handler(event, context):
    return {
        "greeting": f"Hello, {event.get('name', 'world')}!",
        "python": sys.version.split(" (")[0],
        "gilEnabled": sys._is_gil_enabled() if hasattr(sys, "_is_gil_enabled") else True,
        "requestId": context.aws_request_id,
    }
