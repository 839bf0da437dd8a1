"""Work for the processor in threads that share memory. On a free-threaded build without the GIL they run in parallel,
as far as there are vCPUs: Lambda gives one for each 1,769 MB of memory."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

WORKERS = len(os.sched_getaffinity(0))
POOL = ThreadPoolExecutor(WORKERS)


def count_primes(first, last):
    return sum(all(number % divisor for divisor in range(2, int(number**0.5) + 1)) for number in range(max(first, 2), last))


def handler(event, context):
    limit = event.get("limit", 20_000)
    step = -(-limit // (4 * WORKERS))
    starts = range(0, limit, step)
    counts = POOL.map(lambda first: count_primes(first, min(first + step, limit)), starts)
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return {"primes": sum(counts), "workers": WORKERS, "gilEnabled": gil}
