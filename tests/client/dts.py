"""Reads shine-client.d.ts, as far as it is written: interfaces, unions, arrays, tuples, records and literals."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

TOKEN = re.compile(r'\s*("[^"]*"|[A-Za-z_]\w*|\d+|=>|[|()\[\]<>,{}:?])')
WORDS = {"true": True, "false": False}
Type = frozenset[Any]  # the members of a union, each a name, a tuple ("literal", value), ("array", Type), …


@dataclass
class Interface:
    """An interface, or the fields of a class: name → type, and the names that may be left out."""

    fields: dict[str, str] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    bases: list[str] = field(default_factory=list)


class Declarations:
    """All declarations of a file.

    Raises:
        ValueError: there is a line that is none of those that are known.
    """

    def __init__(self, text: str) -> None:
        self.aliases: dict[str, str] = {}
        self.interfaces: dict[str, Interface] = {}
        self.classes: dict[str, str] = {}
        rest = re.sub(r"/\*\*.*?\*/|^// [^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE)
        rest = re.sub(r"export type (\w+) =([^;]*);", self._alias, rest)
        rest = re.sub(
            r"export interface (\w+)(?: extends ([\w, ]+))? \{(.*?)\}\n", self._interface, rest, flags=re.DOTALL
        )
        rest = re.sub(r"export class (\w+)[^{]*\{\n(.*?)\n\}\n", self._class, rest, flags=re.DOTALL)
        if rest.strip():
            raise ValueError(f"not understood: {rest.strip()[:200]}")

    def _alias(self, found: re.Match[str]) -> str:
        self.aliases[found[1]] = found[2]
        return ""

    def _interface(self, found: re.Match[str]) -> str:
        interface = Interface(bases=found[2].split(", ") if found[2] else [])
        for line in filter(None, map(str.strip, found[3].splitlines())):
            one = re.fullmatch(r"(\w+)(\??): (.*);", line)
            if one is None:
                raise ValueError(f"no field: {line}")
            interface.fields[one[1]] = one[3]
            if one[2]:
                interface.optional.add(one[1])
        self.interfaces[found[1]] = interface
        return ""

    def _class(self, found: re.Match[str]) -> str:
        self.classes[found[1]] = found[2]
        return ""

    def fields(self, name: str) -> dict[str, str]:
        """The fields of an interface and of those that it extends."""
        interface = self.interfaces[name]
        inherited = {field: kind for base in interface.bases for field, kind in self.fields(base).items()}
        return {**inherited, **interface.fields}

    def methods(self, name: str) -> dict[str, tuple[str, str]]:
        """The methods of a class: name → interface of the options, type of what is returned."""
        found = re.findall(r"^  (\w+)\(([^;]*?)\): ([^;]*);$", self.classes[name], re.MULTILINE)
        return {name: (options_of(parameters), returned) for name, parameters, returned in found}

    def read(self, text: str) -> Type:
        """A type, with its aliases resolved.

        Raises:
            ValueError: it is written in a way that is not known.
        """
        tokens = TOKEN.findall(text)
        if "".join(tokens) != re.sub(r"\s+(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", "", text):
            raise ValueError(f"not understood: {text}")
        kind = self._union(tokens)
        if tokens:
            raise ValueError(f"not understood: {' '.join(tokens)} in {text}")
        return kind

    def _union(self, tokens: list[str]) -> Type:
        if tokens[0] == "|":
            tokens.pop(0)
        members = set(self._member(tokens))
        while tokens and tokens[0] == "|":
            tokens.pop(0)
            members |= self._member(tokens)
        return frozenset(members)

    def _member(self, tokens: list[str]) -> Type:
        kind = self._single(tokens)
        while tokens[:2] == ["[", "]"]:
            del tokens[:2]
            kind = frozenset({("array", kind)})
        return kind

    def _single(self, tokens: list[str]) -> Type:
        word = tokens.pop(0)
        if word == "(":
            kind = self._union(tokens)
            tokens.pop(0)
            return kind
        if word == "[":
            return frozenset({("tuple", *self._until("]", tokens))})
        if word == "readonly":
            return self._member(tokens)
        if word.startswith('"') or word.isdigit():
            return frozenset({("literal", json.loads(word))})
        if word in WORDS:
            return frozenset({("literal", WORDS[word])})
        if tokens[:1] == ["<"]:
            tokens.pop(0)
            return frozenset({(word, *self._until(">", tokens))})
        if word in self.aliases:
            return self.read(self.aliases[word])
        if word in self.interfaces or word in self.classes:
            return frozenset({("ref", word)})
        return frozenset({word})

    def _until(self, end: str, tokens: list[str]) -> list[Type]:
        kinds = [self._union(tokens)]
        while tokens.pop(0) != end:
            kinds.append(self._union(tokens))
        return kinds


def options_of(parameters: str) -> str:
    """The interface of a method's options, its last parameter."""
    return parameters.rpartition("options?: ")[2].strip(" ,\n")


def of_schema(schema: dict[str, Any]) -> Type:
    """A JSON schema, as the OpenAPI document has it, as a type."""
    if "$ref" in schema:
        return frozenset({("ref", schema["$ref"].rpartition("/")[2])})
    if "anyOf" in schema:
        return frozenset().union(*map(of_schema, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return frozenset(("literal", value) for value in schema.get("enum", [schema.get("const")]))
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return frozenset(_of_kind(kind, schema) for kind in kinds)


def _of_kind(kind: str, schema: dict[str, Any]) -> Any:
    if kind == "array":
        item = of_schema(schema["items"])
        length = schema.get("maxItems")
        return ("tuple", *[item] * length) if length else ("array", item)
    if kind == "object":
        values = schema["additionalProperties"]
        value = of_schema(values) if isinstance(values, dict) else frozenset({"unknown"})
        if "propertyNames" not in schema:
            return ("Record", frozenset({"string"}), value)
        return ("Partial", frozenset({("Record", of_schema(schema["propertyNames"]), value)}))
    return {"integer": "number"}.get(kind, kind)
