"""Judges SBOMs and provenance with the formats' own validators, and reads them back as a scanner would.

Usage: judge.py FILE...  Prints one JSON object: {file: {"errors": [...], "components": [[name, version, cpe, purl], ...]}}.
It knows nothing of make-runtime.
"""
import json
import sys
from urllib.parse import urlsplit

from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf.json_format import ParseDict, ParseError
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from packageurl import PackageURL
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def not_canonical(purl):
    canonical = PackageURL.from_string(purl).to_string()
    return [] if canonical == purl else [f"purl {purl} is {canonical} when written canonically"]


def cyclonedx(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        return [str(problem)], []
    bom = Bom.from_json(json.loads(text))
    bom.validate()  # Raises for a dependency on something that is not there.
    components = [[c.name, c.version, c.cpe, c.purl and c.purl.to_string()] for c in bom.components]
    written = [c["purl"] for c in json.loads(text)["components"] if "purl" in c]
    return [error for purl in written for error in not_canonical(purl)], components


def spdx(path):
    try:
        document = parse_file(path)
    except SPDXParsingError as error:
        return error.get_messages(), []
    errors = [message.validation_message for message in validate_full_spdx_document(document)]
    components = []
    for package in document.packages:
        refs = {ref.reference_type: ref.locator for ref in package.external_references}
        components.append([package.name, package.version, refs.get("cpe23Type"), refs.get("purl")])
    return errors, components


def provenance(path):
    with open(path, encoding="utf-8") as file:
        value = json.load(file)
    try:
        # Field by field as the protocol buffers of in-toto and SLSA have them; an unknown field is an error.
        statement = Statement([], "", {})
        ParseDict(value, statement.pb)
        statement.validate()
        predicate = ParseDict(value["predicate"], Provenance())
        definition, details = predicate.build_definition, predicate.run_details
        for descriptor in [*definition.resolved_dependencies, *details.byproducts]:
            ResourceDescriptor.copy_from_pb(descriptor).validate()
    except (KeyError, ParseError, ValueError) as error:
        return [repr(error)], []
    # What SLSA v1 requires; its Python package has no validator of its own.
    required = {
        "predicateType": statement.pb.predicate_type == "https://slsa.dev/provenance/v1",
        "buildType": urlsplit(definition.build_type).scheme,
        "externalParameters": definition.external_parameters,
        "builder.id": urlsplit(details.builder.id).scheme,
    }
    errors = [f"{name} is missing or wrong" for name, good in required.items() if not good]
    errors += [error for d in definition.resolved_dependencies if d.uri.startswith("pkg:") for error in not_canonical(d.uri)]
    return errors, [[d.name, None, None, d.uri] for d in definition.resolved_dependencies]


def judge(path):
    kind = cyclonedx if path.endswith(".cdx.json") else spdx if path.endswith(".spdx.json") else provenance
    try:
        errors, components = kind(path)
    except Exception as error:  # A reader that gives up has not read it.
        errors, components = [repr(error)], []
    return {"errors": errors, "components": components}


print(json.dumps({path: judge(path) for path in sys.argv[1:]}))
