"""An async handler: what it waits for, it waits for at the same time. The event loop lives as long as the process."""

import asyncio
import time


async def ask(number):
    await asyncio.sleep(0.1)  # Stands for a request to another service.
    return number * number


async def handler(event, context):
    start = time.monotonic()
    answers = await asyncio.gather(*(ask(number) for number in range(event.get("questions", 5))))
    return {"answers": answers, "seconds": round(time.monotonic() - start, 3)}
