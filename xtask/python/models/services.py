"""botocore's models of the services, and as much of our own sources as is held against them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import botocore.session

ROOT = Path(__file__).resolve().parents[3]


@cache
def model(service: str):
    return botocore.session.get_session().get_service_model(service)


def operation(service: str, name: str):
    return model(service).operation_model(name)


def shape(service: str, name: str):
    return model(service).shape_for(name)


def inputs(service: str, name: str) -> set[str]:
    return set(operation(service, name).input_shape.members)


def outputs(service: str, name: str) -> set[str]:
    return set(operation(service, name).output_shape.members)


def errors(service: str, name: str) -> dict[str, int]:
    """Modelled errors by the code that travels, with their HTTP status: 400 where the model names none."""
    found = {}
    for one in operation(service, name).error_shapes:
        told = one.metadata.get("error", {})
        found[told.get("code", one.name)] = told.get("httpStatusCode", 400)
    return found


def enum(service: str, name: str) -> set[str]:
    return set(shape(service, name).enum)


def limits(service: str, name: str) -> tuple:
    metadata = shape(service, name).metadata
    return metadata.get("min"), metadata.get("max")


def pattern(service: str, name: str) -> str:
    return shape(service, name).metadata["pattern"]


def text(service: str, where: str, member: str | None = None) -> str:
    """What the model says in words about an operation, or about a shape's member."""
    if member is None:
        said = operation(service, where).documentation
    else:
        said = shape(service, where).members[member].documentation
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", said))


@cache
def source(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def listed(path: str, constant: str) -> list[str]:
    """The texts of a constant list in a source of ours."""
    found = re.search(rf"const {constant}: \[[^\]]*\] = \[(.*?)\];", source(path), re.S)
    if found is None:
        raise LookupError(f"{path} has no constant {constant}")
    return re.findall(r'"([^"]+)"', found[1])


def number(path: str, constant: str) -> int:
    """The value of a constant number in a source of ours; a product of numbers is multiplied out."""
    found = re.search(rf"const {constant}: \w+ = ([0-9_ *]+);", source(path))
    if found is None:
        raise LookupError(f"{path} has no constant {constant}")
    value = 1
    for factor in found[1].replace("_", "").split("*"):
        value *= int(factor)
    return value


def snake(name: str) -> str:
    """A member's name as the Rust SDK writes it."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name.replace("InGB", "InGb"))
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", words).lower()
