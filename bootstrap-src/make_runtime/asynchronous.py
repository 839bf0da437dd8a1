"""`async def` handlers on one long-lived event loop per thread. The only module here that imports asyncio.

The loop also waits for the next invocation (it watches the connection's descriptor), so that what a handler left
running goes on between invocations. Refuses to know how errors look and what the Runtime API's statuses mean.
"""

import asyncio
import sys
import time
from _thread import _local

from _runtime_api import Error
from make_runtime import invocation, loop, payload

BIG = 256 * 1024  # bytes; a larger response is posted by a thread, so that other invocations go on meanwhile

_thread = _local()


def event_loop():
    """This thread's loop, made when first asked for."""
    mine = getattr(_thread, 'loop', None)
    if mine is None or mine.is_closed():
        mine = _new_loop()
        _thread.loop = mine
        asyncio.set_event_loop(mine)
    return mine


def _new_loop():
    try:
        import uvloop  # faster, where the function ships it
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def complete(taken, result):
    """The value of what a plain function returned for awaiting."""
    return event_loop().run_until_complete(_value(taken, result))


async def _value(taken, result):
    if hasattr(type(result), '__await__'):
        result = await result
    if hasattr(type(result), '__anext__'):
        from make_runtime import streaming

        return await streaming.pump_async(taken, result)
    if type(result) is loop.GENERATOR:
        from make_runtime import streaming

        return await streaming.pump_async(taken, _stepwise(result))
    return result


async def _stepwise(generator):
    """A plain generator among coroutines: its own steps block, waiting for a slow reader does not."""
    try:
        for chunk in generator:
            yield chunk
    finally:
        generator.close()


def run(function, clients):
    """Never returns: one poller for each client, all on this thread's loop."""
    mine = event_loop()
    left = set()

    def ended(poller):
        left.discard(poller)
        if not poller.cancelled() and poller.exception() is not None:
            loop.complain('a poller has failed: %r' % poller.exception())
        if not left:
            mine.stop()

    for client in clients:
        poller = mine.create_task(_poll_for_ever(mine, function, client))
        left.add(poller)
        poller.add_done_callback(ended)
    mine.run_forever()
    raise SystemExit(1)  # every poller has lost the Runtime API, and said so


async def _poll_for_ever(mine, function, client):
    while True:
        taken = await _next(mine, client)
        if taken is None:
            return
        # A task of its own: its context is its own, and to cancel it is not to cancel us. SystemExit and
        # KeyboardInterrupt leave through the loop and end the process, where _serve lets them.
        task = mine.create_task(_serve(mine, function, taken))
        await _unless_cancelled(asyncio.wait, (task,))
        if not task.cancelled() and task.exception() is not None:
            _odd(taken, task.exception())
        taken = task = None


def _odd(taken, error):
    """A BaseException of no kind that _serve knows. asyncio keeps it in the task, where nobody would look, and the
    caller would wait for the timeout. Here and not in _serve, which a GeneratorExit also tells that it is closed."""
    if loop.patient:
        loop.report_error(taken, loop.as_exit(error, taken))
        if loop.together:
            return
    sys.excepthook(type(error), error, error.__traceback__)  # as with a plain handler
    raise SystemExit(1)


async def _unless_cancelled(wait, *arguments):
    """Functions tidy up with `for task in asyncio.all_tasks(): task.cancel()`, and a poller is one of them."""
    while True:
        try:
            return await wait(*arguments)
        except asyncio.CancelledError:
            continue


async def _next(mine, client):
    """The next invocation, or None when there will be none."""
    pause = loop.FIRST_PAUSE
    for attempt in range(loop.ATTEMPTS):
        try:
            answer = None
            while answer is None:
                await _unless_cancelled(_readable, mine, client.next_send())
                answer = client.next_receive()
            return loop.accept(answer, client)
        except Error as error:
            message = 'Failed to get next invocation: %s' % error
        if not loop.patient:
            loop.give_up(message)
        loop.complain(message)
        if attempt < loop.ATTEMPTS - 1:
            await _unless_cancelled(asyncio.sleep, pause)
            pause *= 2
    return None


async def _serve(mine, function, taken):
    invocation.begin(taken)
    timer = None
    if loop.patient:
        # Nobody waits for it any longer, but it would keep its place among the N for as long as it runs.
        deadline = int(taken.deadline_ms or 0) / 1000
        left = deadline - time.time()
        if deadline and left < 86400:  # AWS's own emulator sends nonsense
            timer = mine.call_later(max(left, 0), _deadline_passed, asyncio.current_task(), taken)
    try:
        result = await _value(taken, function(*loop.arguments(taken)))
        answer = None if taken.stream is not None else payload.marshal(result)
    except (Exception, asyncio.CancelledError) as error:
        _report(taken, error, timer)
    except (SystemExit, KeyboardInterrupt) as error:
        if not loop.patient:
            raise
        _report(taken, loop.as_exit(error, taken), timer)
        if not loop.together:
            raise
    except BaseException:
        if timer is not None:
            timer.cancel()
        raise
    else:
        result = None
        if timer is not None:
            timer.cancel()
        if answer is not None and len(answer[0]) > BIG and loop.together:
            try:
                posted = mine.run_in_executor(None, loop.respond, taken, answer)
            except RuntimeError:  # out of threads: others wait, but the caller gets its answer
                loop.respond(taken, answer)
            else:
                await posted
        else:
            loop.respond(taken, answer)


def _report(taken, error, timer):
    if timer is not None:
        timer.cancel()
    loop.report_error(taken, error)


def _deadline_passed(task, taken):
    loop.complain('RequestId: %s is cancelled, its time is over' % taken.request_id)
    task.cancel()


def _readable(mine, descriptor):
    """A future that is done when the descriptor can be read."""
    future = mine.create_future()
    mine.add_reader(descriptor, _ready, mine.remove_reader, descriptor, future)
    return future


def writable(descriptor):
    mine = asyncio.get_running_loop()
    future = mine.create_future()
    mine.add_writer(descriptor, _ready, mine.remove_writer, descriptor, future)
    # Whoever waits may be cancelled: then the descriptor must not be watched any longer.
    future.add_done_callback(lambda done: mine.remove_writer(descriptor) if done.cancelled() else None)
    return future


def _ready(remove, descriptor, future):
    remove(descriptor)
    if not future.done():
        future.set_result(None)
