# aws-xray-sdk without Powertools: the trace comes from the invocation, segments go to the daemon as datagrams.
from aws_xray_sdk.core import patch, xray_recorder
from interpreter import interpreter

patch(["botocore"])


@xray_recorder.capture("decorated")
def decorated():
    return xray_recorder.current_subsegment().trace_id


def handler(event, context):
    with xray_recorder.in_subsegment("block") as block:
        block.put_annotation("number", event["number"])
        return {"trace": decorated(), **interpreter()}
