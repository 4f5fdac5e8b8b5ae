"""Holds a raw answer against the shapes of AWS's own service model, member by member.

botocore passes over what it does not know and does not miss what is not there, so an answer that it
parses may still be none that AWS would give. Here an unknown member, a missing required one, a wrong
type, a value outside its enumeration, length, range or pattern is a complaint.
"""

import base64
import binascii
import io
import json
import math
import re
from datetime import datetime
from xml.etree import ElementTree

from botocore.parsers import BaseCBORParser

WHOLE = ("integer", "long", "short", "bigInteger")
FRACTIONS = ("float", "double", "bigDecimal")
# How JSON and CBOR carry numbers that JSON can't write.
WORDS_FOR_NUMBERS = ("NaN", "Infinity", "-Infinity")
# Answers that every operation of a service may give although its model names none of them.
COMMON_ERRORS = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "InvalidAction",
    "InvalidParameterValue",
    "SerializationException",
    "ThrottlingException",
    "UnknownOperationException",
    "ValidationError",
    "ValidationException",
}


def complaints_about_answer(operation, protocol, headers, body):
    """What is wrong with the answer of an operation that succeeded."""
    shape = operation.output_shape
    if protocol == "query":
        return _about_xml(operation, body)
    if shape is None:
        return [] if body in (b"", b"{}", b"\xa0", b"\xbf\xff") else [f"an answer where none is: {body[:80]!r}"]
    found = []
    if protocol == "rest-json":
        found += _about_headers(shape, headers)
        payload = shape.serialization.get("payload")
        if payload is not None:
            if shape.members[payload].type_name in ("blob", "string"):
                return found
            shape = shape.members[payload]
    if protocol == "smithy-rpc-v2-cbor":
        value = _from_cbor(body)
    else:
        value = json.loads(body) if body else {}
    return found + _about(shape, value, shape.name, protocol)


def complaints_about_error(operation, protocol, code, body):
    """What is wrong with an error's code and, where the model has a shape for it, with its members."""
    known = {shape.metadata.get("error", {}).get("code", shape.name): shape for shape in operation.error_shapes}
    known.update({shape.name: shape for shape in operation.error_shapes})
    shape = known.get(code)
    if shape is None:
        return [] if code in COMMON_ERRORS else [f"the model of {operation.name} has no error {code}"]
    if protocol == "query":
        return []
    value = _from_cbor(body) if protocol == "smithy-rpc-v2-cbor" else json.loads(body)
    value.pop("__type", None)
    # Of the two spellings in use every SDK takes either.
    spellings = {name.lower(): name for name in shape.members}
    value = {spellings.get(name.lower(), name): member for name, member in value.items()}
    if "Message" in value and "message" not in spellings:
        del value["Message"]
    if "message" not in spellings:
        value.pop("message", None)
    return _about(shape, value, shape.name, protocol)


class _StrictCbor(BaseCBORParser):
    """botocore's own reader, but for members that are null: it drops those unseen."""

    def _parse_key_value_pair(self, stream, items):
        key = self.parse_data_item(stream)
        items[key] = self.parse_data_item(stream)


def _from_cbor(body):
    if not body:
        return {}
    parser = _StrictCbor()
    return parser.parse_data_item(parser.get_peekable_stream_from_bytes(body))


def _about(shape, value, path, protocol):
    if value is None:
        return [f"{path} is null: a member without a value is left out"]
    kind = shape.type_name
    if kind == "structure":
        return _about_structure(shape, value, path, protocol)
    if kind == "list":
        if not isinstance(value, list):
            return [f"{path} is no list"]
        found = _about_size(shape, len(value), path)
        for index, item in enumerate(value):
            found += _about(shape.member, item, f"{path}[{index}]", protocol)
        return found
    if kind == "map":
        if not isinstance(value, dict):
            return [f"{path} is no map"]
        found = _about_size(shape, len(value), path)
        for key, item in value.items():
            found += _about(shape.key, key, f"{path} key", protocol)
            found += _about(shape.value, item, f"{path}[{key}]", protocol)
        return found
    return _about_scalar(shape, value, path, protocol)


def _about_structure(shape, value, path, protocol):
    if getattr(shape, "is_document_type", False):
        return []
    if not isinstance(value, dict):
        return [f"{path} is no structure"]
    members = {
        member.serialization.get("name", name): (name, member)
        for name, member in shape.members.items()
        if "location" not in member.serialization
    }
    found = [f"{path}.{name} is unknown to the model" for name in value if name not in members]
    required = [
        shape.members[name].serialization.get("name", name)
        for name in shape.required_members
        if "location" not in shape.members[name].serialization
    ]
    found += [f"{path}.{name} is required and not there" for name in required if name not in value]
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        found.append(f"{path} is a union of one member and has {len(value)}")
    for name, item in value.items():
        if name in members:
            found += _about(members[name][1], item, f"{path}.{name}", protocol)
    return found


def _about_scalar(shape, value, path, protocol):
    kind = shape.type_name
    if kind in ("string", "character"):
        return _about_text(shape, value, path)
    if kind == "boolean":
        return [] if isinstance(value, bool) else [f"{path} is no boolean: {value!r}"]
    if kind in WHOLE:
        if isinstance(value, bool) or not isinstance(value, int):
            return [f"{path} is no whole number: {value!r}"]
        return _about_size(shape, value, path)
    if kind in FRACTIONS:
        if value in WORDS_FOR_NUMBERS and protocol != "smithy-rpc-v2-cbor":
            return []
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return [f"{path} is no number: {value!r}"]
        return [] if math.isnan(value) else _about_size(shape, value, path)
    if kind == "timestamp":
        return _about_time(shape, value, path, protocol)
    if kind == "blob":
        return _about_blob(value, path, protocol)
    return [f"{path} has a type that is not known here: {kind}"]


def _about_text(shape, value, path):
    if not isinstance(value, str):
        return [f"{path} is no text: {value!r}"]
    found = _about_size(shape, len(value), path)
    options = shape.metadata.get("enum")
    if options and value not in options:
        found.append(f"{path} is none of its enumeration: {value!r}")
    pattern = shape.metadata.get("pattern")
    if pattern:
        try:
            # The services match the whole text, whether or not the pattern says so.
            fits = re.fullmatch(pattern, value)
        except re.error:
            # A pattern of Java's that Python can't read.
            fits = True
        if not fits:
            found.append(f"{path} does not match {pattern}: {value!r}")
    return found


def _about_size(shape, size, path):
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        return [f"{path} is below its least of {least}: {size}"]
    if most is not None and size > most:
        return [f"{path} is above its most of {most}: {size}"]
    return []


def _about_time(shape, value, path, protocol):
    if protocol == "smithy-rpc-v2-cbor":
        return [] if isinstance(value, datetime) else [f"{path} is no tagged timestamp: {value!r}"]
    if shape.serialization.get("timestampFormat", "unixTimestamp") == "unixTimestamp":
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return [f"{path} is no number of seconds: {value!r}"]
        # Neither milliseconds nor a date long gone.
        return [] if 1e9 < value < 1e10 else [f"{path} is no time of this age: {value!r}"]
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return [f"{path} is no date: {value!r}"]
    return []


def _about_blob(value, path, protocol):
    if protocol == "smithy-rpc-v2-cbor":
        return [] if isinstance(value, bytes) else [f"{path} is no byte string: {value!r}"]
    try:
        base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        return [f"{path} is not base64: {value!r}"]
    return []


def _about_headers(shape, headers):
    found = []
    for name, member in shape.members.items():
        if member.serialization.get("location") != "header":
            continue
        value = headers.get(member.serialization["name"])
        if value is None:
            if name in shape.required_members:
                found.append(f"the header {member.serialization['name']} is required and not there")
        elif member.type_name == "string":
            found += _about_text(member, value, f"the header {member.serialization['name']}")
    return found


def _about_xml(operation, body):
    root = ElementTree.parse(io.BytesIO(body)).getroot()
    found = []
    if _tag(root) != f"{operation.name}Response":
        found.append(f"the answer is a {_tag(root)}")
    children = {_tag(child): child for child in root}
    metadata = children.pop("ResponseMetadata", None)
    if metadata is None or not [child for child in metadata if _tag(child) == "RequestId" and child.text]:
        found.append("there is no RequestId in a ResponseMetadata")
    shape = operation.output_shape
    if shape is None:
        return found + [f"{name} where nothing is answered" for name in children]
    wrapper = shape.serialization.get("resultWrapper")
    result = children.pop(wrapper, None)
    found += [f"{name} beside {wrapper}" for name in children]
    if result is None:
        return [*found, f"there is no {wrapper}"]
    return found + _about(shape, _from_xml(shape, result), shape.name, "query")


def _tag(element):
    return element.tag.rpartition("}")[2]


def _from_xml(shape, element):
    """The value that an element stands for, with what the shape does not know left as text."""
    kind = shape.type_name
    if kind == "structure":
        return _structure_from_xml(shape, element)
    if kind == "list":
        strangers = {_tag(child) for child in element} - {shape.member.serialization.get("name", "member")}
        if strangers:
            return f"a list of {sorted(strangers)}"
        return [_from_xml(shape.member, child) for child in element]
    if kind == "map":
        entries = {}
        for entry in element:
            pair = {_tag(child): child for child in entry}
            entries[pair["key"].text] = _from_xml(shape.value, pair["value"])
        return entries
    text = element.text or ""
    if kind in WHOLE:
        return int(text) if re.fullmatch(r"-?\d+", text) else text
    if kind in FRACTIONS:
        try:
            return float(text)
        except ValueError:
            return text
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind == "timestamp":
        try:
            return datetime.fromisoformat(text).timestamp()
        except ValueError:
            return text
    return text


def _structure_from_xml(shape, element):
    value = {}
    members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
    for child in element:
        name = _tag(child)
        member = members.get(name)
        value[name] = child.text if member is None else _from_xml(member, child)
    return value
