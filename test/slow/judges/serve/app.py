# Functions of the served sample: one that answers, one that streams.
import os
import time


def handler(event, context):
    print("handling")
    if isinstance(event, dict) and event.get("raise"):
        raise ValueError("no good")
    time.sleep(event.get("sleep", 0) if isinstance(event, dict) else 0)
    custom = context.client_context and context.client_context.custom
    return {
        "event": event,
        "pid": os.getpid(),
        "environment": context.log_stream_name,
        "custom": custom,
        "arn": context.invoked_function_arn,
    }


def pieces(event, context):
    def generate():
        for number in range(3):
            yield f"piece {number}\n"
            time.sleep(event.get("pause", 0))
        if event.get("raise"):
            raise ValueError("in the middle")

    return generate()
