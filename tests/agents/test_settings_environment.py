"""Variables of named tables, and secrets in files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from agents.cli.common import UserError, environment
from streams.settings.access import hashed
from streams.settings.settings import Settings, SettingsError, explain, load, secret_files
from streams.sources.registry import SOURCES
from streams.sources.senders import HttpSender
from tests.agents.cli_runner import Runner

ONE, TWO = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HTTP = "CALLPULSE_SOURCES__HTTP__"


def of(environ: Mapping[str, str], text: str = "") -> Settings:
    return load(text, environ, SOURCES)


def refused(environ: Mapping[str, str], text: str = "") -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        of(environ, text)
    return {problem.key: problem.message for problem in caught.value.problems}


def senders(settings: Settings) -> dict[str, list[str]]:
    return {name: [one.reveal() for one in held.secrets] for name, held in settings.named("http", HttpSender).items()}


def test_a_variable_sets_the_secrets_of_a_sender_that_the_file_has_or_has_not() -> None:
    text = '[sources.http.crm]\nnetworks = ["10.0.0.0/8"]\n[sources.http.my-desk]\n'
    settings = of(
        {f"{HTTP}CRM__SECRETS": f"{ONE}, {TWO}", f"{HTTP}MY_DESK__SECRETS": TWO, f"{HTTP}A__B__SECRETS": ONE}, text
    )
    assert senders(settings) == {"crm": [ONE, TWO], "my-desk": [TWO], "a__b": [ONE]}
    assert settings.named("http", HttpSender)["crm"].networks == ("10.0.0.0/8",)
    shown = {line.key: (line.value, line.source) for line in explain(settings)}
    assert shown["sources.http.my-desk.secrets"][1] == f"{HTTP}MY_DESK__SECRETS"
    assert ONE not in str(shown) + repr(settings)


def test_settings_of_other_named_tables_and_types_have_variables_too() -> None:
    token = hashed("x")
    settings = of({f"{HTTP}CRM__TOKENS": token}, '[sources.http.crm]\ntokens = ["sha256:00"]\n')
    assert settings.named("http", HttpSender)["crm"].tokens == (token,)
    assert "is missing" in refused({"CALLPULSE_SOURCES__FILES__CALLS__DELIMITER": ";"})["sources.files.calls.what"]


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (f"{HTTP}CRM__SECRET", f"mean {HTTP}CRM__SECRETS?"),
        (f"{HTTP}CRM", "unknown variable"),
        (f"{HTTP}__SECRETS", "unknown variable"),
        (f"{HTTP}1__SECRETS", "unknown variable"),
        (f"{HTTP}crm__SECRETS", "unknown variable"),
        (f"{HTTP}CRM__NETWORKS_FILE", "unknown variable"),
        ("CALLPULSE_WORKER__ID_FILE", "unknown variable"),
    ],
)
def test_a_variable_that_sets_nothing_is_refused(variable: str, message: str) -> None:
    assert message in refused({variable: ONE})[variable]


def test_a_name_that_stands_for_two_tables_is_refused() -> None:
    text = '[sources.http.a-b]\nnetworks = ["10.0.0.0/8"]\n[sources.http.a_b]\nnetworks = ["10.0.0.0/8"]\n'
    problem = refused({f"{HTTP}A_B__SECRETS": ONE}, text)[f"{HTTP}A_B__SECRETS"]
    assert "sources.http.a-b.secrets and sources.http.a_b.secrets" in problem
    assert "both set" in refused({f"{HTTP}C__SECRETS": ONE, f"{HTTP}C__SECRETS_FILE": TWO})[f"{HTTP}C__SECRETS_FILE"]


def test_a_wrong_secret_is_not_shown() -> None:
    problem = refused({f"{HTTP}CRM__SECRETS": "hush-hush"})["sources.http.crm.secrets[0]"]
    assert problem.endswith(f"(from {HTTP}CRM__SECRETS)")
    assert "hush-hush" not in problem


def test_the_variables_that_name_files_of_secrets_are_known() -> None:
    environ = dict.fromkeys(
        (
            *("CALLPULSE_LEAD_SECRET_FILE", "CALLPULSE_KAFKA__SASL_PASSWORD_FILE", f"{HTTP}CRM__SECRETS_FILE"),
            *(
                "CALLPULSE_SOURCES__ASTERISK__AMI__SECRET_FILE",
                "CALLPULSE_SOURCES__ASTERISK__AMI__CA_FILE",
                "OTHER_FILE",
            ),
            *(f"{HTTP}CRM__TOKENS_FILE", "CALLPULSE_GATEWAY__HTTP__TLS_CERTFILE"),
        ),
        "x",
    )
    assert set(secret_files(environ, SOURCES)) == {
        *("CALLPULSE_LEAD_SECRET_FILE", "CALLPULSE_KAFKA__SASL_PASSWORD_FILE", f"{HTTP}CRM__SECRETS_FILE"),
        "CALLPULSE_SOURCES__ASTERISK__AMI__SECRET_FILE",
    }


def test_secrets_are_read_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lead, crm = tmp_path / "lead", tmp_path / "crm"
    lead.write_text("a secret with spaces, and a comma\n")
    crm.write_text(f"{ONE}\n\n{TWO}\n")
    monkeypatch.setenv("CALLPULSE_LEAD_SECRET_FILE", str(lead))
    monkeypatch.setenv(f"{HTTP}CRM__SECRETS_FILE", str(crm))
    settings = of(environment())
    assert settings.privacy.lead_secret.reveal() == "a secret with spaces, and a comma"
    assert senders(settings) == {"crm": [ONE, TWO]}
    assert settings.origins["privacy.lead_secret"] == "CALLPULSE_LEAD_SECRET_FILE"  # noqa: S105 - the name of a variable


def test_check_config_shows_where_a_secret_comes_from_and_not_what_it_is(
    callpulse: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "crm"
    path.write_text(TWO)
    monkeypatch.setenv(f"{HTTP}CRM__SECRETS_FILE", str(path))
    done = callpulse("check-config", "--json")
    assert (done.code, f"{HTTP}CRM__SECRETS_FILE" in done.out, TWO in done.out) == (0, True, False)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"], ids=["missing", "empty", "blank", "no text"])
def test_a_file_without_a_secret_is_an_error(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lead"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("CALLPULSE_LEAD_SECRET_FILE", str(path))
    with pytest.raises(UserError, match=f"CALLPULSE_LEAD_SECRET_FILE: {path}"):
        environment()
