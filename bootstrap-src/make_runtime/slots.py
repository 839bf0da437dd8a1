"""Which invocation each poller has, in memory that the supervisor shares with its worker processes.

So a process that is killed does not leave a caller waiting for the timeout: the supervisor answers in its place.
Refuses to know who forks whom, and what the answer is (concurrency.py).
"""

SLOT = 512  # bytes of the memory for each poller


def shared(count):
    """Slots that processes forked from now on have in common."""
    import mmap

    memory = mmap.mmap(-1, count * SLOT)
    return [Slot(memory, number) for number in range(count)]


class Noting:
    """A client that writes down which invocation it has taken, until it was answered."""

    def __init__(self, client, slot):
        self._client = client
        self._slot = slot
        self.fileno = client.fileno
        self.next_send = client.next_send
        self.stream_open = client.stream_open
        self.stream_write = client.stream_write

    # An invocation that was answered is under way no more: a process that ends now, as after sys.exit, leaves nobody
    # without an answer, and a second one would be refused.

    def respond(self, *arguments):
        return self._answered(self._client.respond(*arguments))

    def fail(self, *arguments):
        return self._answered(self._client.fail(*arguments))

    def stream_close(self, *arguments):
        return self._answered(self._client.stream_close(*arguments))

    def _answered(self, answer):
        self._slot.clear()
        return answer

    @property
    def inherited(self):
        return self._client.inherited

    @property
    def stream_started(self):
        return self._client.stream_started

    def next(self):
        self._slot.clear()
        return self._noted(self._client.next())

    def next_receive(self):
        self._slot.clear()
        answer = self._client.next_receive()
        return answer if answer is None else self._noted(answer)

    def _noted(self, answer):
        if answer[0] == 200 and answer[3] is not None:
            self._slot.take(answer[3], answer[4])
        return answer


class Slot:
    """SLOT bytes of the shared memory: [0] 1 once an invocation was taken ever; [1] 1 while one is under way; then
    its ids, each ended by a NUL."""

    def __init__(self, memory, number):
        self._memory = memory
        self._at = number * SLOT

    def reset(self):
        self._memory[self._at : self._at + 2] = b'\0\0'

    def take(self, request_id, invocation_id):
        ids = b'%s\0%s\0' % (request_id.encode(), (invocation_id or '').encode())
        if len(ids) <= SLOT - 2:
            self._memory[self._at + 2 : self._at + 2 + len(ids)] = ids
            self._memory[self._at : self._at + 2] = b'\1\1'

    def clear(self):
        self._memory[self._at + 1] = 0

    def ever(self):
        return self._memory[self._at] == 1

    def under_way(self):
        """(request id, invocation id or None), or None."""
        if self._memory[self._at + 1] == 0:
            return None
        request_id, invocation_id, _ = self._memory[self._at + 2 : self._at + SLOT].split(b'\0', 2)
        return request_id.decode(), invocation_id.decode() or None
