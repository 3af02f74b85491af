"""The session of the manager interface: the bytes that a real Asterisk sent, and any others."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.settings.settings import Secret
from streams.sources.asterisk.access import AmiAccess
from streams.sources.asterisk.session import AmiError, AmiSession
from tests.examples import examples

LIVE = Path(__file__).parents[1] / "fixtures" / "asterisk" / "live"
ACCESS = AmiAccess(host="pbx", secret=Secret("the secret of the tests"))


def session(login: str = "plain") -> AmiSession:
    return AmiSession(AmiAccess(host="pbx", secret=Secret("the secret of the tests"), login=login))  # type: ignore[arg-type]  # one of the two


def live(name: str) -> bytes:
    return (LIVE / name).read_bytes().replace(b"<EOF>", b"")


@pytest.mark.parametrize("name", ["greeting-and-login.txt", "full-account-login.txt", "permissions-live-account.txt"])
def test_a_login_of_a_real_asterisk_is_up(name: str) -> None:
    one = session()
    one.receive(live(name), 0)
    assert (one.state, one.interface) == ("up", "11.0.0")


def test_the_challenge_of_a_real_asterisk_is_answered_without_the_secret() -> None:
    one = session("md5")
    one.receive(live("login-md5-challenge.txt"), 0)
    assert one.state == "up"
    sent = one.take_output()
    # echo -n "803475850the secret of the tests" | md5sum
    assert b"Key: a3ce33b1efbf2104a80900d40117154f" in sent
    assert b"the secret" not in sent


def test_a_refusal_of_a_real_asterisk_says_what_to_do() -> None:
    with pytest.raises(AmiError, match="the username or the secret is wrong") as found:
        session().receive(live("login-wrong-secret.txt"), 0)
    assert found.value.cause == "refused"


def test_the_version_and_the_clock_of_a_real_asterisk_are_known() -> None:
    one = session()
    one.receive(live("greeting-and-login.txt"), 1_000)
    one.take_output()
    settings = live("full-account-login.txt").partition(b"ActionID: set")[2]
    one.receive(b"Response: Success\r\nActionID: callpulse-9" + settings, 0)
    assert one.asterisk == "22.10.1"
    pong = b"Response: Success\r\nActionID: callpulse-2\r\nPing: Pong\r\nTimestamp: 1795907314.430620\r\n\r\n"
    one.receive(pong, 3_000)
    assert one.clock_ahead_ms == 1_795_907_314_431 - 2_000
    assert not one.waits_for_ping


def test_an_account_without_reporting_is_known_by_its_commands() -> None:
    commands = live("listcommands.txt").rpartition(b"Response: Success")[2]
    with_it, without = session(), session()
    for one, text in ((with_it, commands), (without, commands.replace(b"CoreShowChannels:", b"Other:"))):
        one.receive(live("greeting-and-login.txt"), 0)
        one.receive(b"Response: Success" + text, 0)
    assert with_it.denied == set()
    assert without.denied == {"CoreShowChannels"}


def test_how_the_stream_is_cut_does_not_matter() -> None:
    data = live("account-docs.ami").replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    whole = session().receive(data, 0)
    assert len(whole.events) > 60
    for size in (1, 7, 100, 4096):
        one = session()
        pieces = [one.receive(data[at : at + size], 0) for at in range(0, len(data), size)]
        assert [event for piece in pieces for event in piece.events if event["Event"] in FIGURES] == [
            event for event in whole.events if event["Event"] in FIGURES
        ]


FIGURES = {"Newchannel", "Newstate", "Hangup", "DialBegin", "DialEnd", "BridgeEnter", "BridgeLeave", "Newexten"}
WORDS = st.sampled_from(
    [
        *(b"Asterisk Call Manager/11.0.0\r\n", b"Asterisk Call Manager/1.3\r\n", b"Response: Success\r\n"),
        *(b"Response: Error\r\n", b"Challenge: 1\r\n", b"ActionID: callpulse-1\r\n", b"ActionID: callpulse-5\r\n"),
        *(b"Message: Permission denied\r\n", b"Timestamp: 1e999\r\n", b"Timestamp: nan\r\n", b"Ping: Pong\r\n"),
        *(b"CoreProcessedCalls: 99999999999999999999\r\n", b"Event: FullyBooted\r\n", b"Logoff: x\r\n"),
        *(b"Event: CoreShowChannelsComplete\r\n", b"Response: Goodbye\r\n", b"\r\n", b"\r\n\r\n", b"Event: Hangup\r\n"),
        *(b"AsteriskVersion: \xff\r\n", b"CoreProcessedCalls: \xc2\xb2\r\n", b"Timestamp: \r\n"),
    ]
)


@pytest.mark.fuzz
@examples(500)
@given(pieces=st.lists(st.one_of(WORDS, st.binary(max_size=20)), max_size=40), login=st.sampled_from(["plain", "md5"]))
def test_any_bytes_end_in_nothing_but_a_refusal(pieces: list[bytes], login: str) -> None:
    for begin in (b"", b"Asterisk Call Manager/11.0.0\r\n"):
        one = session(login)
        with contextlib.suppress(AmiError):
            for piece in (begin, *pieces):
                one.receive(piece, 0)
                one.take_output()
        one.is_torn()


@examples(100)
@given(cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_the_login_may_be_cut_anywhere(cuts: list[int]) -> None:
    data = live("full-account-login.txt")
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    one = session()
    events = [event for a, b in pairwise(places) for event in one.receive(data[a:b], 0).events]
    assert [event["Event"] for event in events] == ["FullyBooted"]
    assert (one.state, one.asterisk) == ("up", "22.10.1")
