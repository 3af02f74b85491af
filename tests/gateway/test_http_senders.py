"""Senders: tokens, signatures, networks, proxies and client certificates."""

from __future__ import annotations

import base64
import gzip
import hmac
import ssl
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError

from agents.gateway.http_addresses import Proxies
from agents.gateway.http_senders import Tokens
from streams.settings.access import hashed
from streams.settings.fields import Secret
from streams.settings.settings import SettingsError, load
from streams.sources.http.signatures import verdict
from streams.sources.registry import SOURCES
from streams.sources.senders import HttpSender
from tests.gateway.served import OTHER_TOKEN, SETTINGS, TOKEN, Answer, Served, encoded, ended, serving

KEY = base64.b64encode(b"k" * 32).decode()
BOTH = "the-token-of-both"
OLD_KEY = base64.b64encode(b"o" * 32).decode()
SIGNED = f'[sources.http.desk]\nsecrets = ["whsec_{KEY}", "whsec_{OLD_KEY}"]\n'


def signature(body: bytes, *, key: str = KEY, at: int | None = None, identifier: str = "msg-1") -> dict[str, str]:
    stamp = str(int(time.time()) if at is None else at)
    digest = hmac.new(base64.b64decode(key), f"{identifier}.{stamp}.".encode() + body, sha256).digest()
    return {
        "Webhook_Id": identifier,
        "Webhook_Timestamp": stamp,
        "Webhook_Signature": f"v1,{base64.b64encode(digest).decode()}",
    }


async def signed(served: Served, body: bytes, **how: Any) -> Answer:
    return await served.post(body, token="", **signature(body, **how))


# -- tokens


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Token {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xff"],
)
async def test_without_a_known_token_nothing_is_taken_and_the_body_is_not_read(header: str) -> None:
    async with serving() as served:
        answer = await served.ask("POST", "/v1/events", b"not json", Authorization=header, Content_Type="text/x")
        assert (answer.status, answer.problem) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert served.counts.strangers == [""]
        assert served.sink.refused == []


async def test_each_sender_is_known_by_each_of_its_tokens() -> None:
    text = f'[gateway]\nhttp_port = 0\n[sources.http.crm]\ntokens = ["{hashed(TOKEN)}", "{hashed(OTHER_TOKEN)}"]\n'
    async with serving(text) as served:
        for number, token in enumerate((TOKEN, OTHER_TOKEN)):
            assert (await served.post(encoded(ended(number)), token=token)).status == 202
        assert served.sink.sources == ["crm", "crm"]


async def test_no_sender_in_the_settings_means_that_nobody_may_send() -> None:
    async with serving("[gateway]\nhttp_port = 0\n") as served:
        assert (await served.post(encoded(ended()))).status == 401


def test_all_hashes_are_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    whole = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append(b)
        return whole(a, b)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    tokens = Tokens({name: HttpSender(tokens=(hashed(name), hashed(f"{name} 2"))) for name in ("a", "b", "c")})
    for token, owner in (("a", "a"), ("c 2", "c"), ("nobody's", None)):
        compared.clear()
        assert tokens.owner(token) == owner
        assert len(compared) == 6


# -- signatures


async def test_a_signed_request_needs_no_token() -> None:
    async with serving(SETTINGS + SIGNED) as served:
        for number, key in enumerate((KEY, OLD_KEY)):
            assert (await signed(served, encoded(ended(number)), key=key)).status == 202
        assert served.sink.sources == ["desk", "desk"]


async def test_a_replayed_request_is_harmless() -> None:
    async with serving(SETTINGS + SIGNED) as served:
        body = encoded(ended())
        headers = signature(body)
        answers = [await served.post(body, token="", **headers) for _ in range(3)]
        assert [answer.json["accepted"] for answer in answers] == [1, 0, 0]
        assert len(served.sink.events) == 1


@pytest.mark.parametrize("late_s", [-301, 301, 86_400])
async def test_a_signature_that_is_too_old_or_from_the_future_is_refused(late_s: int) -> None:
    async with serving(SETTINGS + SIGNED) as served:
        answer = await signed(served, encoded(ended()), at=int(time.time()) - late_s)
        assert (answer.status, answer.problem) == (403, "signature-invalid")
        assert "older" in answer.json["detail"]
        assert served.counts.strangers == [""]


@pytest.mark.parametrize(
    "changed",
    [
        {"Webhook_Id": "msg-2"},
        {"Webhook_Timestamp": "1"},
        {"Webhook_Timestamp": "-5"},
        {"Webhook_Timestamp": "1e9"},
        {"Webhook_Timestamp": "٣"},
        {"Webhook_Timestamp": ""},
        {"Webhook_Signature": "v1,AAAA"},
        {"Webhook_Signature": "v1,\xff"},
        {"Webhook_Signature": "v1a,AAAA v2,AAAA"},
        {"Webhook_Signature": ","},
        {"Webhook_Id": "x" * 4000},
    ],
)
async def test_a_forged_signature_is_refused(changed: dict[str, str]) -> None:
    async with serving(SETTINGS + SIGNED) as served:
        body = encoded(ended())
        answer = await served.post(body, token="", **signature(body) | changed)
        assert (answer.status, answer.problem) == (403, "signature-invalid")
        assert (served.sink.events, served.sink.refused) == ([], [])


async def test_one_signature_of_several_is_enough() -> None:
    async with serving(SETTINGS + SIGNED) as served:
        body = encoded(ended())
        headers = signature(body)
        headers["Webhook_Signature"] = f"v1a,xx v1,AAAA {headers['Webhook_Signature']}"
        assert (await served.post(body, token="", **headers)).status == 202


async def test_the_signature_is_of_the_bytes_as_they_were_sent() -> None:
    async with serving(SETTINGS + SIGNED) as served:
        packed = gzip.compress(encoded(ended()))
        answer = await served.post(packed, token="", Content_Encoding="gzip", **signature(packed))
        assert answer.status == 202
        answer = await served.post(packed, token="", Content_Encoding="gzip", **signature(encoded(ended())))
        assert answer.status == 403


async def test_a_sender_with_tokens_and_secrets_does_both() -> None:
    both = f'[sources.http.both]\ntokens = ["{hashed(BOTH)}"]\nsecrets = ["whsec_{OLD_KEY}"]\n'
    async with serving(SETTINGS + both) as served:
        body = encoded(ended())
        assert (await served.post(body, token=BOTH)).problem == "signature-invalid"
        assert (await served.post(body, token="", **signature(body, key=OLD_KEY))).problem == "unauthenticated"
        assert (await served.post(body, token=BOTH, **signature(body))).problem == "signature-invalid"
        assert (await served.post(body, token=BOTH, **signature(body, key=OLD_KEY))).status == 202


def test_the_vector_of_standard_webhooks() -> None:
    # From the specification's own libraries (MIT).
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert verdict([secret], headers, b'{"test": 2432232314}', 1_614_265_330_000) == "valid"
    assert verdict([secret], headers, b'{"test": 2432232315}', 1_614_265_330_000) == "wrong"


# -- networks and proxies


@pytest.mark.parametrize(("network", "status"), [("127.0.0.0/8", 202), ("10.0.0.0/8", 403)])
async def test_a_sender_sends_from_its_networks(network: str, status: int) -> None:
    text = f'[gateway]\nhttp_port = 0\n[sources.http.crm]\ntokens = ["{hashed(TOKEN)}"]\nnetworks = ["{network}"]\n'
    async with serving(text) as served:
        answer = await served.post(encoded(ended()))
        assert answer.status == status
        if status == 403:
            assert answer.problem == "network-not-allowed"
            assert served.counts.strangers == ["crm"]
        # None of these headers counts: the peer is not a trusted proxy.
        forged = await served.post(encoded(ended()), X_Forwarded_For="10.0.0.1", Forwarded="for=10.0.0.1")
        assert forged.status == status


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("198.51.100.1", {"x-forwarded-for": "10.9.9.9"}, "198.51.100.1"),
        ("10.0.0.1", {"x-forwarded-for": "192.0.2.7"}, "192.0.2.7"),
        ("10.0.0.1", {"x-forwarded-for": "6.6.6.6, 192.0.2.7"}, "192.0.2.7"),
        ("10.0.0.1", {"x-forwarded-for": "192.0.2.7, 10.0.0.2"}, "192.0.2.7"),
        ("10.0.0.1", {"x-forwarded-for": "[2001:db8::1]:443"}, "2001:db8::1"),
        ("10.0.0.1", {"x-forwarded-for": "192.0.2.7:5060"}, "192.0.2.7"),
        ("10.0.0.1", {"x-forwarded-for": "unknown"}, None),
        ("10.0.0.1", {"forwarded": "for=6.6.6.6"}, "10.0.0.1"),
        ("::ffff:10.0.0.1", {"x-forwarded-for": "::ffff:192.0.2.7"}, "192.0.2.7"),
        ("10.0.0.1", {}, "10.0.0.1"),
    ],
)
def test_the_senders_address_is_the_last_that_no_trusted_proxy_has(
    peer: str, headers: dict[str, str], expected: str | None
) -> None:
    address = Proxies(["10.0.0.0/8"]).origin(peer, "http", "here", headers).address
    assert (None if address is None else str(address)) == expected


def test_scheme_and_host_are_those_of_the_proxy() -> None:
    named = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https", "x-forwarded-host": "hooks.example"}
    assert Proxies(["10.0.0.0/8"]).origin("10.0.0.1", "http", "here", named)[1:] == ("https", "hooks.example")
    assert Proxies([]).origin("10.0.0.1", "http", "here", named)[1:] == ("http", "here")
    standard = {"forwarded": 'for=6.6.6.6;host=evil, for="[2001:db8::1]:80";proto=https;host="hooks.example"'}
    found = Proxies(["10.0.0.0/8"], "forwarded").origin("10.0.0.1", "http", "here", standard)
    assert (str(found.address), *found[1:]) == ("2001:db8::1", "https", "hooks.example")


@pytest.mark.parametrize("host", ["evil/..", "a b", "x\r\ny", "", "user@host"])
def test_a_host_that_is_none_is_not_taken_over(host: str) -> None:
    found = Proxies(["10.0.0.0/8"]).origin(
        "10.0.0.1", "http", "here", {"x-forwarded-for": "192.0.2.7", "x-forwarded-host": host}
    )
    assert found.host == "here"


# -- settings


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("[sources.http.crm]\ntokens = []", "sources.http.crm.tokens"),
        ('[sources.http.crm]\ntokens = ["the token itself"]', "sources.http.crm.tokens[0]"),
        ('[sources.http.crm]\nsecrets = ["whsec_c2hvcnQ="]', "sources.http.crm.secrets[0]"),
        ('[sources.http.crm]\nsecrets = ["plain text"]', "sources.http.crm.secrets[0]"),
        ('[sources.http.crm]\ncertificates = ["x"]\nnetworks = ["10.0.0.1/8"]', "sources.http.crm.networks[0]"),
        ('[sources.http."Number +49"]\ncertificates = ["x"]', 'sources.http."Number +49"'),
        ('[gateway.http]\ntls_keyfile = "x"', "gateway.http.tls_certfile"),
        ("[gateway.http]\nmax_body_bytes = 8388608\nmax_request_bytes = 8388608", "gateway.http.max_request_bytes"),
    ],
)
def test_senders_that_cannot_be_are_refused_without_their_secrets(table: str, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(table, {}, SOURCES)
    assert key in {problem.key for problem in caught.value.problems}
    assert "the token itself" not in str(caught.value)
    assert "plain text" not in str(caught.value)


# -- TLS


def certificates(folder: Path) -> None:
    """An authority, a server and a client, by the openssl of the machine."""
    import subprocess  # noqa: PLC0415 - for this alone

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=tests", "-days", "2")
    for name in ("127.0.0.1", "desk.example", "stranger.example"):
        openssl("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        kind = "IP" if name[0].isdigit() else "DNS"
        (folder / "extensions").write_text(f"subjectAltName={kind}:{name}\n")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", "2", "-extfile", "extensions"),
        )


def client(folder: Path, name: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if name:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@pytest.mark.slow
async def test_a_client_certificate_is_asked_for_where_the_settings_say_so(tmp_path: Path) -> None:
    certificates(tmp_path)
    text = f"""
    [gateway]
    http_port = 0
    [gateway.http]
    tls_certfile = "{tmp_path}/127.0.0.1.pem"
    tls_keyfile = "{tmp_path}/127.0.0.1.key"
    tls_client_cafile = "{tmp_path}/ca.pem"
    [sources.http.desk]
    certificates = ["desk.example"]
    [sources.http.strict]
    certificates = ["desk.example"]
    tokens = ["{hashed(TOKEN)}"]
    [sources.http.plain]
    tokens = ["{hashed(OTHER_TOKEN)}"]
    """
    for name, with_none, with_token in (("desk.example", 202, 202), ("stranger.example", 401, 403), ("", 401, 403)):
        async with serving(text, verify=client(tmp_path, name)) as served:
            assert served.url.startswith("https://")
            assert (await served.post(encoded(ended(1)), token="")).status == with_none
            answer = await served.post(encoded(ended(2)))
            assert answer.status == with_token
            if with_token == 403:
                assert answer.problem == "certificate-not-allowed"
            assert (await served.post(encoded(ended(3)), token=OTHER_TOKEN)).status == 202
    async with serving(text, verify=ssl.create_default_context()) as served:
        with pytest.raises(ClientError):
            await served.post(encoded(ended()))
