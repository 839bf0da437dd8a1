"""The garbage collector during init.

An import makes objects and hardly any garbage, and every round of the collector looks at them in vain: a sixth of the
time it takes to import boto3 and make two clients. So rounds are rare until the handler is there. What a function says
about the collector meanwhile (gc.disable, gc.set_threshold, gc.freeze) stays as it says.
"""

import gc
import sys

# New objects until a round, so that an init that does make garbage keeps no more than some 50 MB of it; a number that
# nobody would choose, because it tells that nobody has chosen another.
DURING_INIT = 500003

_usual = _frozen = None


def spare():
    """Before anything of the function is imported."""
    global _usual, _frozen
    usual = gc.get_threshold()
    if usual[0] != 0:
        _usual, _frozen = usual, gc.get_freeze_count()
        gc.set_threshold(DURING_INIT, *usual[1:])


def resume():
    """The function is there. What it made is made old, which is what all those rounds would have come to: the first
    invocation must not pay for looking at it."""
    if gc.get_threshold()[0] != DURING_INIT:
        return
    gc.set_threshold(*_usual)
    if 't' in sys.abiflags:
        # Free-threaded collectors have no generations, and put a round off for as long as there are few new objects
        # beside those that the last one has seen (CPython 3.13 to 3.15, gc_free_threading.c: gc_should_collect).
        if gc.isenabled() and gc.get_count()[0] > _usual[0]:
            gc.collect()
    elif gc.get_freeze_count() == _frozen:  # the function has not frozen anything
        gc.freeze()  # two lists joined, nothing is looked at
        gc.unfreeze()  # to the oldest generation
