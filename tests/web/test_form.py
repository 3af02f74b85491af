"""The form of a web file: its keys, the rights to read paths, and the errors in words."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.web.form import PATHS, Tls, WebFile, WebFileError, web_file
from streams.settings.access import hashed
from tests.grafana.tooling import tool
from tests.web.web_files import HASH, TOKEN

SERVER = {"cert_file": "server.crt", "key_file": "server.key"}
BOTH: dict[str, Any] = {"basic_auth_users": {"alice": HASH}, "callpulse": {"bearer_tokens": {"crm": hashed(TOKEN)}}}
SAMPLE = """\
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  min_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]
http_server_config:
  http2: false
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  alice: $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze
"""


def read(**tables: Any) -> WebFile:
    return web_file(orjson.dumps(tables).decode())


def test_a_file_of_the_exporter_toolkit_is_read() -> None:
    found = web_file(SAMPLE)
    assert found.tls_server_config is not None
    assert found.tls_server_config.min_version == "TLS13"
    assert found.http_server_config.headers["X-Frame-Options"] == "deny"
    assert list(found.names) == ["alice"]


@pytest.mark.slow
def test_prometheus_own_tool_takes_the_same_file_and_not_our_table(tmp_path: Path) -> None:
    plain = SAMPLE.partition("  client_auth_type")[0] + SAMPLE.partition("  min_version: TLS13\n")[2]
    path = tmp_path / "web.yml"
    for text, good in ((plain, True), (f"{plain}callpulse: {{}}\n", False)):
        path.write_text(text.replace("server.crt", "c.pem").replace("server.key", "c.pem"), encoding="utf-8")
        web_file(text)
        done = subprocess.run(
            [tool("promtool"), "check", "web-config", path], capture_output=True, text=True, check=False, timeout=60
        )
        # The certificate is missing on purpose: the error about it shows that the form was read.
        assert ("c.pem" in done.stderr) is good, done.stderr
        assert ("field callpulse not found" in done.stderr) is not good, done.stderr


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n", "tls_server_config: {}\nbasic_auth_users:\n"])
def test_an_empty_file_asks_for_nothing(text: str) -> None:
    found = web_file(text)
    assert found.tls_server_config is None
    assert [found.readers(path) for path in PATHS] == [None] * len(PATHS)


@pytest.mark.parametrize(
    ("rules", "path", "readers"),
    [
        ({}, "/metrics", {"alice", "crm"}),
        ({}, "/", {"alice", "crm"}),
        ({}, "/no/such/path", {"alice", "crm"}),
        ({}, "/-/healthy", None),
        ({}, "/-/ready", None),
        ({"/-/ready": "alice"}, "/-/ready", {"alice"}),
        ({"/-/ready": "alice"}, "/-/healthy", None),
        ({"/metrics": "anyone"}, "/metrics", None),
        ({"/metrics": "anyone"}, "/leads/attention", {"alice", "crm"}),
        ({"/metrics": ["alice"], "/leads/attention": "crm"}, "/metrics", {"alice"}),
        ({"/metrics": ["alice"], "/leads/attention": "crm"}, "/leads/attention", {"crm"}),
        ({"/metrics": ["alice"], "/leads/attention": "crm"}, "/", {"alice", "crm"}),
        ({"/": "alice"}, "/metrics", {"alice"}),
        ({"/": "alice"}, "/no/such/path", {"alice"}),
        ({"/": "alice"}, "/-/ready", None),
        ({"/": []}, "/", set()),
    ],
)
def test_who_may_read_a_path(rules: Any, path: str, readers: set[str] | None) -> None:
    table = {**BOTH["callpulse"], "access": rules}
    assert read(**BOTH | {"callpulse": table}).readers(path) == readers


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"tls_server_config": {"cert_file": "a"}}, "tls_server_config.key_file: is missing"),
        ({"tls_server_config": SERVER | {"cert": "PEM"}}, "tls_server_config.cert: callpulse does not take it"),
        ({"tls_server_config": SERVER | {"min_version": "TLS11"}}, "1.1 are not secure"),
        ({"tls_server_config": SERVER | {"min_version": "TLS14"}}, "did you mean TLS1"),
        ({"tls_server_config": SERVER | {"min_version": "TLS13", "max_version": "TLS12"}}, "newer than max_version"),
        ({"tls_server_config": SERVER | {"client_auth_type": "RequireAnyClientCert"}}, "without verifying them"),
        ({"tls_server_config": SERVER | {"client_auth_type": "RequireAndVerifyClientCert"}}, "client_ca_file: is need"),
        ({"tls_server_config": SERVER | {"client_ca_file": "a"}}, "client_auth_type: is needed with client_ca_file"),
        ({"tls_server_config": SERVER | {"client_allowed_sans": ["a"]}}, "needs client_auth_type"),
        ({"tls_server_config": SERVER | {"cipher_suites": ["TLS_RSA_WITH_RC4_128_SHA"]}}, "is none of TLS_ECDHE"),
        ({"tls_server_config": SERVER | {"curve_preferences": ["X25519"]}}, "the curves are those of OpenSSL"),
        ({"tls_server_config": []}, "a table was expected"),
        ({"tls_server": SERVER}, "unknown key; did you mean tls_server_config?"),
        ({"rate_limit": {"burst": 1}}, "rate_limit: callpulse does not take it"),
        ({"http_server_config": {"headers": {"Server": "x"}}}, "is none of Content-Security-Policy"),
        ({"http_server_config": {"headers": {"X-Frame-Options": "allow"}}}, "X-Frame-Options is one of deny"),
        ({"http_server_config": {"headers": {"X-XSS-Protection": "1\r\nA: b"}}}, "X-XSS-Protection is no text"),
        ({"basic_auth_users": {"a:b": HASH}}, 'must not be empty, hold ":"'),
        ({"basic_auth_users": {"anyone": HASH}}, 'or be "anyone"'),
        ({"basic_auth_users": {"alice": HASH.replace("$04$", "$20$")}}, "would take seconds"),
        ({"basic_auth_users": {"alice": 4711}}, "is no bcrypt hash"),
        ({"basic_auth_users": {"alice": "$2y$10$" + 53 * "9"}}, "is no bcrypt hash"),
        ({"basic_auth_users": {"alice": HASH.replace("$04$", "$\u0661\u0660$")}}, "is no bcrypt hash"),
        ({"callpulse": {"access": {"/metrics": "alice"}}}, "has no effect"),
        ({**BOTH, "callpulse": {"access": {"/metrics": "alise"}}}, "did you mean alice?"),
        ({**BOTH, "callpulse": {"access": {"/metric": "alice"}}}, "did you mean /metrics?"),
        ({**BOTH, "callpulse": {"access": {"/v1/events": "alice"}}}, "is no path that a rule can name"),
        ({"callpulse": {"bearer_tokens": {"crm": "the-token"}}}, "is no hash of a token"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(tables: dict[str, Any], said: str) -> None:
    with pytest.raises(WebFileError) as refused:
        read(**tables)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "text", ["a: [", "- a", "text", "a: *secret-4711", "4: 5", "a: !!python/name:os.system secret"]
)
def test_what_is_no_table_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(WebFileError) as refused:
        web_file(text)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", 'the key "a" stands twice (line 2, column 1)'),
        ('callpulse: {access: {/: []}, "access": {}}', 'the key "access" stands twice (line 1, column 30)'),
        ("basic_auth_users: {123: x}", 'the key "123" is no text: write it in quotes (line 1, column 20)'),
        ("basic_auth_users: {yes: x}", 'the key "yes" is no text: write it in quotes'),
        ("basic_auth_users: {? [a] : x}", "a key is no text (line 1, column 22)"),
        ("callpulse: {bearer_tokens: {crm: 2026-13-01}}", "callpulse.bearer_tokens.crm"),
        ("rate_limit: {2026-13-01: x}", "rate_limit: callpulse does not take it"),
        ("a: 0x_", "the file is not YAML"),
        ("a: !!int secret", "the file is not YAML"),
        ("a: !!bool secret", "the file is not YAML"),
        ("a: !!timestamp secret", "the file is not YAML"),
        ("a: " + 5_000 * "9", "the file is not YAML"),
        ("[" * 5_000, "the file is nested too deeply"),
        ("{a: " * 5_000 + "}" * 5_000, "the file is nested too deeply"),
    ],
)
def test_what_yaml_would_take_or_stumble_over_is_refused(text: str, said: str) -> None:
    with pytest.raises(WebFileError) as refused:
        web_file(text)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_keys_that_are_merged_do_not_stand_twice() -> None:
    text = """
    basic_auth_users: &users {alice: HASH, bob: HASH}
    callpulse: {access: {<<: {/: alice, /metrics: bob}, /metrics: [alice]}}
    """
    found = web_file(text.replace("HASH", f'"{HASH}"'))
    assert found.callpulse.access == {"/": ("alice",), "/metrics": ("alice",)}


@pytest.mark.parametrize(
    "tables",
    [
        {"basic_auth_users": {"alice": "secret-4711"}},
        {"basic_auth_users": {"alice": ["secret-4711"]}},
        {"callpulse": {"bearer_tokens": {"crm": "secret-4711"}}},
        {"callpulse": {"bearer_tokens": {"crm": ["secret-4711"]}}},
        {"tls_server_config": SERVER | {"key": "secret-4711"}},
    ],
)
def test_a_secret_in_the_wrong_form_is_not_quoted(tables: dict[str, Any]) -> None:
    with pytest.raises(WebFileError) as refused:
        read(**tables)
    assert "secret-4711" not in str(refused.value)


KEYS = st.sampled_from(
    [
        *WebFile.__struct_fields__,
        *Tls.__struct_fields__,
        "headers",
        "bearer_tokens",
        "access",
        "/metrics",
        "X-Frame-Options",
    ]
)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
        lambda held: st.lists(held, max_size=3) | st.dictionaries(KEYS, held, max_size=4),
        max_leaves=9,
    )
)
def test_any_document_is_read_or_refused(held: Any) -> None:
    try:
        found = web_file(orjson.dumps(held).decode())
    except WebFileError:
        return
    assert found.readers("/metrics") is None or found.names
