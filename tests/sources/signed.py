"""Bodies as Mango, Zadarma, MegaFon, Aircall and RingCentral sign them, by the keys of story A, with their headers."""

from __future__ import annotations

import base64
import hmac
import json
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlencode

from tests.sources.story import keys_of

Form = dict[str, Any]
_INBOUND: Final = ("caller_id", "called_did", "call_start")
_OUTBOUND: Final = ("internal", "destination", "call_start")
_SIGNED: Final = {
    "NOTIFY_ANSWER": ("caller_id", "destination", "call_start"),
    "NOTIFY_OUT_START": _OUTBOUND,
    "NOTIFY_OUT_END": _OUTBOUND,
    "NOTIFY_RECORD": ("pbx_call_id", "call_id_with_rec"),
}


def mango(form: Form) -> tuple[bytes, dict[str, str]]:
    keys = keys_of("mango")
    text = json.dumps(form)
    sign = sha256((keys["vpbx_api_key"] + text + keys["vpbx_api_salt"]).encode()).hexdigest()
    return urlencode({"vpbx_api_key": keys["vpbx_api_key"], "sign": sign, "json": text}).encode(), {}


def zadarma(form: Form) -> tuple[bytes, dict[str, str]]:
    form = {name: "" if value is None else str(value) for name, value in form.items()}
    names = _SIGNED.get(form.get("event", ""), _INBOUND)
    text = "".join(form.get(name, "") for name in names).encode("utf-8", "replace")
    digest = hmac.new(keys_of("zadarma")["secret"].encode(), text, "sha1").hexdigest()
    return urlencode(form, errors="replace").encode(), {"signature": base64.b64encode(digest.encode()).decode()}


def megafon(form: Form) -> tuple[bytes, dict[str, str]]:
    return urlencode({**form, "crm_token": keys_of("megafon")["crm_token"]}, errors="replace").encode(), {}


def aircall(form: Form) -> tuple[bytes, dict[str, str]]:
    """A form is the call of an event, with the fields of the event itself beside its own."""
    envelope = {name: form[name] for name in ("event", "timestamp", "resource") if name in form}
    data = {name: value for name, value in form.items() if name not in envelope}
    return json.dumps({**envelope, "token": keys_of("aircall")["token"], "data": data}).encode(), {}


def ringcentral(form: Form) -> tuple[bytes, dict[str, str]]:
    """A form is the party of a notification, with the fields of its session and of its status beside its own."""
    session: Form = {name: form[name] for name in ("sequence", "telephonySessionId") if name in form}
    status: Form = {name: form[name] for name in ("code", "reason", "peerId") if name in form}
    party = {name: value for name, value in form.items() if name not in {"timestamp", *session, *status}}
    body: Form = {**session, "parties": [{**party, "status": status}]}
    notification: Form = {"body": body} | {name: form[name] for name in ("timestamp",) if name in form}
    return json.dumps(notification).encode(), {"validation-token": keys_of("ringcentral")["validation_token"]}
