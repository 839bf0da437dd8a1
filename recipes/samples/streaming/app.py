"""A response that leaves while it is made: behind a function URL with invoke mode RESPONSE_STREAM."""

import time

from make_runtime import streaming


def handler(event, context):
    yield streaming.Prelude(200, {"content-type": "text/plain; charset=utf-8"})
    for number in range(1, int(event.get("lines", 3)) + 1):
        yield f"line {number}\n"
        time.sleep(event.get("pause", 0.05))
