"""A broker with TLS and SASL listeners, the certificates that it and its clients use, and settings to reach it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agents.embedded import EmbeddedKafka, config, ports
from tests.kafka_fixture import unique

USER: Final = "anna"
PASSWORD: Final = "broker-pass-4711"  # noqa: S105 - of a broker that lives for one test
KEY_PASSWORD: Final = "key-pass-4712"  # noqa: S105 - of a key that lives for one test
WRONG_PASSWORD: Final = "wrong-pass-4713"  # noqa: S105 - opens nothing
SECRETS: Final = (PASSWORD, KEY_PASSWORD, WRONG_PASSWORD)
LISTENERS: Final = {"TLS": "SSL", "TLS_CLIENT": "SSL", "SASL": "SASL_PLAINTEXT", "SASL_TLS": "SASL_SSL"}
"""Security protocols. TLS_CLIENT requires a certificate of the client, SASL takes PLAIN, SASL_TLS takes SCRAM."""
_SCRAM: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_PACKAGE: Final = "org.apache.kafka.common.security"
_OPENSSL_CONFIG: Final = "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = callpulse\n"


class Certificates:
    """A certificate authority in `folder`, which signs the broker and one client, and another that signs nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        (folder / "openssl.cnf").write_text(_OPENSSL_CONFIG, encoding="utf-8")
        for name in ("ca", "other-ca"):
            self._make(name, "-nodes", "-addext", "basicConstraints=critical,CA:TRUE")
        signed = ("-CA", str(self.path("ca.pem")), "-CAkey", str(self.path("ca.key")))
        self._make("broker", "-nodes", *signed, "-addext", f"subjectAltName=IP:{config.HOST}")
        self._make("client", "-passout", f"pass:{KEY_PASSWORD}", *signed)
        key, certificate = (self.path(name).read_text(encoding="utf-8") for name in ("broker.key", "broker.pem"))
        self.path("keystore.pem").write_text(key + certificate, encoding="utf-8")

    def path(self, name: str) -> Path:
        """`ca.pem`, `other-ca.pem`, `client.pem`, `client.key` and the like."""
        return self._folder / name

    def _make(self, name: str, *options: str) -> None:
        files = ("-config", "openssl.cnf", "-keyout", f"{name}.key", "-out", f"{name}.pem")
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        done = subprocess.run(
            ["openssl", "req", "-x509", "-days", "2", "-subj", f"/CN={name}", *key, *files, *options],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr


class SecuredKafka:
    """A broker with all of `LISTENERS`, and settings files for its clients."""

    def __init__(self, addresses: dict[str, str], certificates: Certificates) -> None:
        self.addresses = addresses
        self._certificates = certificates

    def config(self, folder: Path, listener: str, **security: str) -> Path:
        """Write the settings of an installation of its own. A value of an `ssl_` key that is a file's name is found."""
        name = unique("secured")
        for key in security.keys() & {"ssl_cafile", "ssl_certfile", "ssl_keyfile"}:
            security[key] = str(self._certificates.path(security[key]))
        lines = "".join(f'{key} = "{value}"\n' for key, value in security.items() if key != "security_protocol")
        path = folder / f"{name}.toml"
        path.write_text(
            f"""
[kafka]
bootstrap = "{self.addresses[listener]}"
security_protocol = "{security.get("security_protocol", LISTENERS[listener])}"
group = "{name}"
topic_prefix = "{name}."
commit_interval = "200ms"
{lines}
[worker]
id = "{name}"
data_dir = "{folder / "data"}"
http_port = 0
""",
            encoding="utf-8",
        )
        return path


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """Start the broker."""
    certificates = Certificates(folder / "certificates")
    plaintext, controller, *others = ports_for("PLAINTEXT", "CONTROLLER", *LISTENERS)
    addresses = {name: f"{config.HOST}:{port}" for name, port in zip(LISTENERS, others, strict=True)}
    with EmbeddedKafka(
        port=plaintext,
        properties=_properties(f"{config.HOST}:{plaintext}", f"{config.HOST}:{controller}", addresses, certificates),
        format_options=[
            option
            for mechanism in _SCRAM
            for option in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
        ],
    ) as kafka:
        yield SecuredKafka(addresses, certificates)
        kafka.kill()  # the data of the broker is not read again


def ports_for(*names: str) -> list[int]:
    """Find a free port for each name, all different."""
    found: set[int] = set()
    while len(found) < len(names):
        found.add(ports.find_free())
    return list(found)


def _properties(
    plaintext: str, controller: str, addresses: dict[str, str], certificates: Certificates
) -> dict[str, str]:
    clients = {"PLAINTEXT": plaintext, **addresses}
    protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **LISTENERS}
    properties = {
        "controller.quorum.voters": f"{config.NODE_ID}@{controller}",
        "listeners": _listed({**clients, "CONTROLLER": controller}, "://"),
        "advertised.listeners": _listed(clients, "://"),
        "listener.security.protocol.map": _listed(protocols, ":"),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates.path("keystore.pem")),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates.path("ca.pem")),
        "listener.name.tls_client.ssl.client.auth": "required",
        "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": (
            f'{_PACKAGE}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        ),
        "listener.name.sasl_tls.sasl.enabled.mechanisms": ",".join(_SCRAM),
    }
    for mechanism in _SCRAM:
        module = f"{_PACKAGE}.scram.ScramLoginModule required;"
        properties[f"listener.name.sasl_tls.{mechanism.lower()}.sasl.jaas.config"] = module
    return properties


def _listed(pairs: dict[str, str], between: str) -> str:
    return ",".join(f"{name}{between}{value}" for name, value in pairs.items())
