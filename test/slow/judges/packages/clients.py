# boto3: clients made at import, as one does on Lambda, and signed requests with the credentials of the environment.
import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from interpreter import interpreter

stub = os.environ["STUB"]
config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
table = boto3.resource("dynamodb", endpoint_url=stub, config=config).Table("orders")
s3 = boto3.client("s3", endpoint_url=stub, config=config)
# Never called: making a client for the real endpoint sets TLS up, which needs Lambda's certificates.
sts = boto3.client("sts")


def handler(event, context):
    table.put_item(Item={"id": event["id"], "é": event["text"]})
    body = s3.get_object(Bucket="bucket", Key="folder/a key+é.txt")["Body"].read().decode()
    try:
        table.get_item(Key={"id": "refused"})
        error = None
    except ClientError as caught:
        error = caught.response["Error"]["Code"]
    return {"body": body, "error": error, "region": sts.meta.region_name, **interpreter()}
