# boto3 against a local Lambda, as its users call the real one. Prints what it was answered, as JSON; judges nothing.
# Arguments: the endpoint.
import base64
import concurrent.futures
import json
import sys
import time

import boto3
import botocore.exceptions
from botocore.config import Config

client = boto3.client(
    "lambda",
    endpoint_url=sys.argv[1],
    region_name="us-east-1",
    aws_access_key_id="any",
    aws_secret_access_key="any",
    config=Config(retries={"max_attempts": 0}),
)


def invoke(name, payload, **more):
    answer = client.invoke(FunctionName=name, Payload=json.dumps(payload).encode(), **more)
    return {
        "status": answer["StatusCode"],
        "error": answer.get("FunctionError"),
        "version": answer.get("ExecutedVersion"),
        "log": base64.b64decode(answer.get("LogResult", "")).decode(),
        "payload": json.loads(answer["Payload"].read() or "null"),
    }


def stream(name, payload):
    answer = client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(payload).encode())
    chunks, complete, moments = [], None, []
    for event in answer["EventStream"]:
        if "PayloadChunk" in event:
            chunks.append(event["PayloadChunk"]["Payload"].decode())
            moments.append(time.monotonic())
        else:
            complete = event["InvokeComplete"]
    return {"chunks": chunks, "complete": complete, "span": moments[-1] - moments[0] if moments else 0}


def refusal(action):
    try:
        action()
    except botocore.exceptions.ClientError as e:
        modelled = type(e) is not botocore.exceptions.ClientError
        return {"class": type(e).__name__, "modelled": modelled, **e.response["Error"]}


context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    together = list(pool.map(lambda _: invoke("main", {"sleep": 0.5})["payload"]["environment"], range(3)))

print(
    json.dumps(
        {
            "plain": invoke("main", {"a": [1, "ä"]}, LogType="Tail", ClientContext=context),
            "error": invoke("main", {"raise": True}),
            "event": invoke("main", {}, InvocationType="Event"),
            "dry": invoke("main", {}, InvocationType="DryRun"),
            "together": together,
            "stream": stream("pieces", {"pause": 0.2}),
            "broken": stream("pieces", {"raise": True}),
            "unknown": refusal(lambda: invoke("nobody", {})),
            "large": refusal(lambda: invoke("main", "x" * 6291456)),
            "text": refusal(lambda: client.invoke(FunctionName="main", Payload=b"{")),
            "function": client.get_function(FunctionName="main")["Configuration"],
            "functions": [one["FunctionName"] for one in client.list_functions()["Functions"]],
            "url": client.get_function_url_config(FunctionName="main")["FunctionUrl"],
        },
        default=str,
    )
)
