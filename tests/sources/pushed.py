"""A sound delivery of each system that pushes, and the system's authentication of it.

    push = PUSHED["twilio"]
    headers, body = push.signed(push.said)

Keys and sound deliveries are those of tests/fixtures/sources/bad. A new source needs an entry.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from hashlib import sha1, sha256
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode

from streams.settings.access import hashed
from tests.sources.story import FIXTURES, SECRET, TOKEN

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
RECEIVED_MS: Final = 1_795_000_000_000
"""The time of receipt of all sound deliveries."""
NUMBER: Final = b"4950000101"
"""The customer's number in them, without its country code."""

Headers: TypeAlias = Mapping[str, str]
Signed: TypeAlias = tuple[Headers, bytes]
Sign: TypeAlias = Callable[[Any, Headers, bytes], Signed]


class Push:
    """The delivery of one system. `table` is its part of the settings; `{key}` stands for a key of the fixtures.

    `signs`: the authentication covers the content. `until` splits a secret at the end off the body. `is_within`: the
    secret is in the JSON, so a value that is no object has none. A signature lasts `lasts_ms`.
    """

    def __init__(
        self,
        system: str,
        table: str,
        sign: Sign | None = None,
        *,
        signs: bool = False,
        until: bytes = b"",
        is_within: bool = False,
        lasts_ms: int | None = None,
        tail: str = "",
    ) -> None:
        self._folder = FIXTURES / "bad" / system
        self._table = table
        self._sign = sign or (lambda _, headers, said: (headers, said))
        self._until = until
        self.signs = signs
        self.is_within = is_within
        self.lasts_ms = lasts_ms
        self.tail = tail

    @property
    def keys(self) -> Any:
        """The keys of the system in the fixtures."""
        return json.loads((self._folder / "index.json").read_bytes())["keys"]

    @property
    def _sound(self) -> tuple[Headers, bytes]:
        head, _, body = (self._folder / "01-sound.http").read_bytes().partition(b"\r\n\r\n")
        lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
        kept = {name: value for name, _, value in lines if name not in ("Host", "User-Agent", "Content-Length")}
        return kept, body

    def settings(self, source: str) -> str:
        """The settings of a gateway that takes the deliveries."""
        table = self._table
        for key, value in self.keys.items():
            table = table.replace(f"{{{key}}}", value.partition(":")[2] if key == "basic_auth" else value)
        return f"""
privacy.region = "RU"
privacy.lead_secret = "{SECRET}"
[gateway]
http_port = 0
[gateway.http]
body_deadline = "150ms"
[[managers]]
id = "anna.weber"
name = "Anna Weber"
identities = {{ extension = "201", {source} = ["anna", "7", "client:anna_weber", "123123"] }}
[sources.{source}]
tokens = ["{hashed(TOKEN)}"]
{table}
"""

    @property
    def content_type(self) -> str:
        """FORM, or JSON."""
        return self._sound[0]["Content-Type"]

    @property
    def said(self) -> bytes:
        """The content of the sound delivery, a form or JSON, without its authentication."""
        body = self._sound[1]
        if self.is_form_of_json:
            return unquote_to_bytes(dict(parse_qsl(body, keep_blank_values=True))[b"json"])
        return body[: body.index(self._until)] if self._until else body

    @property
    def is_form_of_json(self) -> bool:
        """True if the content is JSON in a field of a form."""
        return b"&json=" in self._sound[1]

    @property
    def is_json(self) -> bool:
        """True if the content is JSON, in a form or by itself."""
        return self.content_type == JSON or self.is_form_of_json

    def signed(self, said: bytes) -> Signed:
        """Return the headers and the body of a delivery."""
        return self._sign(self.keys, self._sound[0], said)


class PlainPush(Push):
    """A sender of JSON that has only the token of the URL, and no fixtures of wrong inputs."""

    def __init__(self, said: bytes, *, tail: str) -> None:
        super().__init__("", "", tail=tail)
        self._plain = said

    @property
    def keys(self) -> Any:
        """None."""
        return {}

    @property
    def _sound(self) -> tuple[Headers, bytes]:
        return {"Content-Type": JSON}, self._plain


def _form_with(field: str, key: str) -> Sign:
    def sign(keys: Any, headers: Headers, said: bytes) -> Signed:
        return headers, said + b"&" + urlencode({field: keys[key]}).encode()

    return sign


def _hubspot(keys: Any, headers: Headers, said: bytes) -> Signed:
    sent = headers["X-HubSpot-Request-Timestamp"]
    text = f"POST{keys['public_url']}".encode() + said + sent.encode()
    signature = base64.b64encode(hmac.new(keys["client_secret"].encode(), text, sha256).digest()).decode()
    return {**headers, "X-HubSpot-Signature-v3": signature}, said


def _mango(keys: Any, headers: Headers, said: bytes) -> Signed:
    key, salt = keys["vpbx_api_key"].encode(), keys["vpbx_api_salt"].encode()
    sign = sha256(key + said + salt).hexdigest()
    return headers, urlencode({"vpbx_api_key": key, "sign": sign, "json": said}).encode()


def _fields(form: bytes) -> list[tuple[str, str]]:
    return parse_qsl(form.decode("ascii", "surrogateescape"), keep_blank_values=True, errors="surrogateescape")


def _twilio(keys: Any, headers: Headers, said: bytes) -> Signed:
    text = keys["public_url"] + "".join(name + value for name, value in sorted(set(_fields(said))))
    digest = hmac.new(keys["auth_token"].encode(), text.encode("utf-8", "surrogateescape"), sha1).digest()
    return {**headers, "X-Twilio-Signature": base64.b64encode(digest).decode()}, said


def _zadarma(keys: Any, headers: Headers, said: bytes) -> Signed:
    form = dict(_fields(said))
    text = "".join(form.get(name, "") for name in ("internal", "destination", "call_start"))
    digest = hmac.new(keys["secret"].encode(), text.encode("utf-8", "surrogateescape"), sha1).hexdigest()
    return {**headers, "Signature": base64.b64encode(digest.encode()).decode()}, said


def _aircall(keys: Any, headers: Headers, said: bytes) -> Signed:
    return headers, b'{"token":"%b",%b' % (keys["token"].encode(), said[1:]) if said[:1] == b"{" else said


PUSHED: Final[Mapping[str, Push]] = {
    "aircall": Push("aircall", 'webhook_token = "{token}"', _aircall, is_within=True),
    "amazon_connect": Push("amazon_connect", 'api_key = "{api_key}"'),
    "amocrm": Push("amocrm", ""),
    "bitrix24": Push(
        "bitrix24",
        'application_token = "{application_token}"',
        _form_with("auth[application_token]", "application_token"),
        until=b"&auth%5Bapplication_token",
    ),
    "freeswitch": Push("freeswitch_json_cdr", 'username = "fs"\npassword = "{basic_auth}"'),
    "hubspot": Push(
        "hubspot",
        'client_secret = "{client_secret}"\ntoken = "a-private-app"\npublic_url = "{public_url}"',
        _hubspot,
        signs=True,
        lasts_ms=300_000,
    ),
    "mango": Push(
        "mango",
        'api_key = "{vpbx_api_key}"\napi_salt = "{vpbx_api_salt}"',
        _mango,
        signs=True,
        tail="/events/call",
    ),
    "megafon": Push("megafon", 'crm_token = "{crm_token}"', _form_with("crm_token", "crm_token"), until=b"&crm_token"),
    "pipedrive": Push("pipedrive", 'password = "{basic_auth}"'),
    "ringcentral": Push("ringcentral", 'verification_token = "{validation_token}"'),
    "transcripts": PlainPush(
        b'[{"start": 1.0, "end": 2.5, "text": "Guten Tag"}]',
        tail="/whisper?call=c-1&manager=201&answered_at=2026-11-18T11:00:00Z&channel=0",
    ),
    "twilio": Push("twilio", 'auth_token = "{auth_token}"\npublic_url = "{public_url}"', _twilio, signs=True),
    "zadarma": Push("zadarma", 'secret = "{secret}"\ntimezone = "Europe/Moscow"', _zadarma, signs=True),
}
