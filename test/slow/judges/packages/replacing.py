# What replace.sh puts before the function.
import importlib
import os

module, _, name = os.environ["ORIG_HANDLER"].rpartition(".")
original = getattr(importlib.import_module(module), name)


def handler(event, context):
    answer = original(event, context)
    return {"original": answer, "variable": os.environ["FROM_WRAPPER"], "handler": os.environ["_HANDLER"]}
