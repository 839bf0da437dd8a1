"""The quickstart's handler: says on what it runs, and lets four threads count at the same time."""

import sys
import threading
import time


def handler(event, context):
    return {
        "greeting": f"Hello, {event.get('name', 'world')}!",
        "python": sys.version.split(" (")[0],
        "gilEnabled": sys._is_gil_enabled() if hasattr(sys, "_is_gil_enabled") else True,
        "fourThreads": round(elapsed(4) / elapsed(1), 2),
        "requestId": context.aws_request_id,
    }


def elapsed(threads):
    """Seconds that `threads` threads need when each counts to 200,000; with a GIL, four need four times as long."""
    workers = [threading.Thread(target=count) for _ in range(threads)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - start


def count():
    total = 0
    for number in range(200_000):
        total += number
