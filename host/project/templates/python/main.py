"""Accepts a client whose certificate carries one of the DNS names of the settings, and names the client after it."""

import functools
import json

import wit_world
from componentize_py_types import Err
from wit_world.imports.handshakes import (
    Acceptance,
    Asset,
    Description,
    Handshake,
    Rejection,
    Verdict,
    Verdict_Accept,
    Verdict_Reject,
)

# JSON Schema (2020-12): the gate checks the settings against it before `configure` sees them.
SETTINGS_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["dns-names"],
    "properties": {
        "dns-names": {
            "description": "The DNS names of those who may come in.",
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
        },
    },
}


def explained(function):
    """Makes any exception the contract's error, which the operator reads; otherwise it would end the component."""

    @functools.wraps(function)
    def wrapper(*arguments):
        try:
            return function(*arguments)
        except Err:
            raise
        except Exception as error:
            raise Err(f"{type(error).__name__}: {error}") from error

    return wrapper


class WitWorld(wit_world.WitWorld):
    """The policy: the functions that the gate calls."""

    def describe(self) -> Description:
        return Description(
            name="my-policy",
            version="0.1.0",
            summary="The client's certificate carries a DNS name of the settings.",
            settings_schema=json.dumps(SETTINGS_SCHEMA),
            assets=[],
            rejection_codes=["name-not-listed"],
        )

    # What `configure` keeps in the class is made once, at load; every `evaluate` starts from it, in an instance of its own.
    dns_names: list[str] = []

    @explained
    def configure(self, settings: str, assets: list[Asset]) -> None:
        WitWorld.dns_names = json.loads(settings)["dns-names"]

    @explained
    def evaluate(self, handshake: Handshake) -> Verdict:
        leaf = handshake.chain()[0]
        of_client = [name.text for name in leaf.subject_alt_names() if name.kind == "dns"]
        in_lower_case = {name.lower() for name in of_client}
        for name in self.dns_names:
            if name.lower() in in_lower_case:
                return Verdict_Accept(Acceptance(principal=name, attributes=[], valid_until=None))
        detail = f"none of [{', '.join(of_client)}] is listed"
        return Verdict_Reject(Rejection("name-not-listed", detail))
