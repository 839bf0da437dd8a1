# Imports what the event names, each on its own: whether it can be imported, and whether the GIL is still off after it.
import importlib

from interpreter import interpreter


def handler(event, context):
    answers = {}
    for name in event:
        try:
            importlib.import_module(name)
            answers[name] = {"imports": True, "gil": interpreter()["gil"]}
        except Exception as error:
            answers[name] = {"imports": False, "error": f"{type(error).__name__}: {error}"}
    return answers
