"""Certificates, made once for all tests of ports; and the command line."""

from __future__ import annotations

import pytest

from tests.agents.conftest import callpulse
from tests.broker.security import Certificates

__all__ = ["callpulse"]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("web") / "certificates")
