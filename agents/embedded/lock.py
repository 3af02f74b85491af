"""Make `kafka.lock` anew after a change of Kafka's version: `python -m agents.embedded.lock`, which prints it."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import jgo.maven
from jgo.parse import Coordinate

from agents.embedded.runtime import KAFKA_VERSION, Jar

LOG4J_VERSION = "2.24.3"
"""The version of Log4j that Kafka's own jars require."""
ROOTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}",
)
"""Kafka's server, and the bridge to its log file."""


def resolve(repository: Path) -> list[Jar]:
    """Resolve and download Kafka's class path from Maven Central into a local repository folder; pure Python."""
    context = jgo.maven.MavenContext(resolver=jgo.maven.PythonResolver(), repo_cache=repository, timeout=30)
    # raw: the versions that Log4j manages must not replace those of Kafka.
    coordinates = [replace(Coordinate.parse(root), scope="compile", raw=True) for root in ROOTS]
    roots, others = context.resolver.resolve([context.create_dependency(one) for one in coordinates])
    wanted = [*roots, *(other for other in others if other.scope in ("compile", "runtime"))]
    jars = [
        Jar(
            found.groupId,
            found.artifactId,
            found.version,
            hashlib.sha256(found.artifact.resolve().read_bytes()).hexdigest(),
        )
        for found in wanted
    ]
    return sorted(jars, key=lambda jar: (jar.group, jar.artifact))


def main() -> None:
    """Print the lock."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [f"{jar.group}:{jar.artifact}:{jar.version} {jar.sha256}" for jar in resolve(Path(folder))]
    head = "# The class path of the embedded Kafka: every jar, its version and the SHA-256 of its bytes.\n"
    origin = f"# Resolved from {' and '.join(ROOTS)} by `python -m agents.embedded.lock`.\n"
    sys.stdout.write(head + origin + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
