"""Lines that Kafka's clients repeat are written once in a while, with their number; all others always."""

from __future__ import annotations

import logging

import pytest

from agents.repeated_lines import RepeatedLines


class Log(logging.Handler):
    """A handler that keeps its lines, and a clock for its filter."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.lines: list[str] = []
        self.addFilter(RepeatedLines(lambda: self.now))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def write(self, logger: str, message: str, *args: object) -> None:
        self.handle(logging.LogRecord(logger, logging.ERROR, "x.py", 1, message, args, None))


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_line_that_is_repeated_is_written_again_after_30_s_with_the_number_left_out(log: Log) -> None:
    for number in range(100):
        log.write("aiokafka.client", "Unable to connect to node %s: try %d", "b", number)
        log.now += 0.1
    assert log.lines == ["Unable to connect to node b: try 0"]
    log.now = 31
    log.write("aiokafka.client", "Unable to connect to node b: try 100")
    assert log.lines[1:] == ["Unable to connect to node b: try 100 (and 99 more like it)"]


def test_other_lines_and_other_loggers_are_written_as_they_come(log: Log) -> None:
    for _ in range(3):
        log.write("callpulse", "stopping")
    log.write("aiokafka", "one")
    log.write("aiokafka", "other")
    log.write("aiokafka.cluster", "one")
    assert log.lines == ["stopping"] * 3 + ["one", "other", "one"]
