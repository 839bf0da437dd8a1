"""What an account has, as boto3 sees it: {region: {"layers": {name: [...]}, "parameters": {...}}}, and the buckets."""

import base64
import hashlib
import json
import sys
import urllib.request

import boto3


def versions(client, name):
    for page in client.get_paginator("list_layer_versions").paginate(LayerName=name):
        for item in page["LayerVersions"]:
            version = client.get_layer_version(LayerName=name, VersionNumber=item["Version"])
            try:
                policy = client.get_layer_version_policy(LayerName=name, VersionNumber=item["Version"])["Policy"]
            except client.exceptions.ResourceNotFoundException:
                policy = '{"Statement": []}'
            with urllib.request.urlopen(version["Content"]["Location"]) as answer:
                content = answer.read()
            yield {
                "version": version["Version"],
                "arn": version["LayerVersionArn"],
                "description": version.get("Description"),
                "runtimes": version.get("CompatibleRuntimes"),
                "architectures": version.get("CompatibleArchitectures"),
                "codeSha256": version["Content"]["CodeSha256"],
                "downloaded": base64.b64encode(hashlib.sha256(content).digest()).decode(),
                "grants": [
                    [statement["Sid"], json.dumps(statement["Principal"]), statement.get("Condition")]
                    for statement in json.loads(policy)["Statement"]
                ],
            }


def region(name):
    client = boto3.client("lambda", region_name=name)
    ssm = boto3.client("ssm", region_name=name)
    return {
        "layers": {
            layer["LayerName"]: list(versions(client, layer["LayerName"]))
            for page in client.get_paginator("list_layers").paginate()
            for layer in page["Layers"]
        },
        "parameters": {
            parameter["Name"]: parameter["Value"]
            for page in ssm.get_paginator("get_parameters_by_path").paginate(Path="/", Recursive=True)
            for parameter in page["Parameters"]
        },
    }


def bucket(s3, name):
    try:
        closed = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    except s3.exceptions.ClientError:
        closed = {}
    return {
        "region": s3.get_bucket_location(Bucket=name)["LocationConstraint"],
        "closed": sorted(key for key, value in closed.items() if value),
        "objects": [item["Key"] for item in s3.list_objects_v2(Bucket=name).get("Contents", [])],
    }


s3 = boto3.client("s3", region_name="us-east-1")
print(
    json.dumps(
        {
            "regions": {name: region(name) for name in sys.argv[1:]},
            "buckets": {one["Name"]: bucket(s3, one["Name"]) for one in s3.list_buckets()["Buckets"]},
        }
    )
)
