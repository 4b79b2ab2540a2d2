"""Accepts a client that comes during business hours, from a network of the business. See the README for what that proves."""

import functools
import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

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

WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

TIME_OF_DAY = "^([01][0-9]|2[0-3]):[0-5][0-9]$"

SETTINGS_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Settings of business-hours",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "days": {
            "description": "The days of business.",
            "type": "array",
            "items": {"enum": WEEKDAYS},
            "minItems": 1,
            "default": WEEKDAYS[:5],
        },
        "from": {
            "description": "When business begins.",
            "type": "string",
            "pattern": TIME_OF_DAY,
            "default": "08:00",
        },
        "until": {
            "description": "When business ends; later than it begins.",
            "type": "string",
            "pattern": TIME_OF_DAY,
            "default": "18:00",
        },
        "utc-offset": {
            "description": "How far the local time is ahead of UTC.",
            "type": "string",
            "pattern": "^[+-]([01][0-9]|2[0-3]):[0-5][0-9]$",
            "default": "+00:00",
        },
        "holidays": {
            "description": "Days without business, as YYYY-MM-DD.",
            "type": "array",
            "items": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
            "default": [],
        },
        "networks": {
            "description": "The networks of the business, as 192.0.2.0/24 or 2001:db8::/32; left out for every address.",
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
        },
    },
}

OUTSIDE_HOURS = "outside-hours"
HOLIDAY = "holiday"
NETWORK_NOT_LISTED = "network-not-listed"


@dataclass(frozen=True)
class Rule:
    """The decision, on plain values."""

    days: frozenset[int]
    begin: time
    end: time
    zone: timezone
    holidays: frozenset[date]
    networks: tuple[IPv4Network | IPv6Network, ...] | None

    @staticmethod
    def parse(settings: dict) -> "Rule":
        """Takes settings that the schema allows. What it cannot say of them is checked here."""
        value = {key: property.get("default") for key, property in SETTINGS_SCHEMA["properties"].items()} | settings
        rule = Rule(
            days=frozenset(WEEKDAYS.index(day) for day in value["days"]),
            begin=time.fromisoformat(value["from"]),
            end=time.fromisoformat(value["until"]),
            zone=timezone(offset(value["utc-offset"])),
            holidays=frozenset(parsed("holidays", date.fromisoformat, value["holidays"])),
            networks=None if value["networks"] is None else tuple(parsed("networks", ip_network, value["networks"])),
        )
        if rule.begin >= rule.end:
            raise Err(f"setting `until` is {value['until']}: expected a time after `from`, {value['from']}")
        return rule

    def judge(self, seconds: int, address: IPv4Address | IPv6Address) -> Verdict:
        now = datetime.fromtimestamp(seconds, self.zone)
        if now.date() in self.holidays:
            return reject(HOLIDAY, f"{now.date()} is a holiday")
        end = datetime.combine(now.date(), self.end, self.zone)
        if now.weekday() not in self.days or not datetime.combine(now.date(), self.begin, self.zone) <= now < end:
            return reject(OUTSIDE_HOURS, f"it is {WEEKDAYS[now.weekday()]}, {now:%H:%M}")
        if self.networks is not None and not any(address in network for network in self.networks):
            return reject(NETWORK_NOT_LISTED, f"{address} is of no listed network")
        # The gate asks again when business ends, and closes what is still open.
        return Verdict_Accept(Acceptance(principal=None, attributes=[], valid_until=int(end.timestamp())))


def parsed(key: str, parse, texts: list[str]) -> list:
    """The values of a list, or the contract's error with the one that is none."""
    values = []
    for text in texts:
        try:
            values.append(parse(text))
        except ValueError as error:
            raise Err(f"setting `{key}` has {json.dumps(text)}: {error}") from error
    return values


def offset(text: str) -> timedelta:
    sign = -1 if text[0] == "-" else 1
    return sign * timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))


def address_of(peer: str) -> IPv4Address | IPv6Address:
    """From `192.0.2.1:49152` or `[2001:db8::1]:49152`. IPv4 on a socket of IPv6 is IPv4."""
    address = ip_address(peer.rpartition(":")[0].strip("[]"))
    return getattr(address, "ipv4_mapped", None) or address


def reject(code: str, detail: str) -> Verdict:
    return Verdict_Reject(Rejection(code, detail))


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

    rule: Rule | None = None

    def describe(self) -> Description:
        return Description(
            name="business-hours",
            version="0.1.0",
            summary="The client comes during business hours, from a network of the business.",
            settings_schema=json.dumps(SETTINGS_SCHEMA),
            assets=[],
            rejection_codes=[HOLIDAY, NETWORK_NOT_LISTED, OUTSIDE_HOURS],
        )

    @explained
    def configure(self, settings: str, assets: list[Asset]) -> None:
        WitWorld.rule = Rule.parse(json.loads(settings))

    @explained
    def evaluate(self, handshake: Handshake) -> Verdict:
        return self.rule.judge(handshake.time(), address_of(handshake.peer_address()))
