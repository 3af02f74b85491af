"""Tests of sources: connect as the listener does, listen for a while, and report what was understood.

A kind of source has one entry in `TESTS`: the name of its table under `[sources]`, and the function that tests it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from agents.gateway import ami_test, esl_test
from agents.gateway.source_report import Report
from streams.settings.settings import Settings

Test: TypeAlias = Callable[[Settings, str, float, bytes], Coroutine[Any, Any, Report]]
"""A test. It takes the settings, the source's name behind the dot, seconds to listen, and the secret of numbers."""

TESTS: Final[Mapping[str, Test]] = MappingProxyType({"asterisk": ami_test.test, "freeswitch": esl_test.test})
