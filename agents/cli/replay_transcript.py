"""`callpulse replay transcript`: the output of recognisers as events of the topic `speech`."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from agents.cli.common import (
    FAILED,
    INFRASTRUCTURE,
    USAGE,
    BootstrapOption,
    ConfigOption,
    UserError,
    bullets,
    progress,
    read_settings,
    run,
    say,
    write,
)
from streams.contract import topics
from streams.contract.events import SpeechUtterance, encode
from streams.settings.settings import Settings
from streams.sources.asterisk import DRY_RUN_SECRET
from streams.sources.frame import Refused, Translation
from streams.sources.http.acceptance import Acceptance
from streams.sources.people import People
from streams.sources.transcripts.formats import FORMATS, translated
from streams.sources.transcripts.hook import resolved
from streams.sources.transcripts.leg import PARAMETERS, Asked
from streams.sources.transcripts.settings import NAME, TranscriptsSettings
from streams.sources.transcripts.values import LONGEST_DOCUMENT

_MOST_SHOWN: Final = 10
_SIDES: Final = ("manager", "customer")
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_OFFSET: Final = re.compile(r"(manager|customer)=([+-]?\d{1,9})")


class _Job(NamedTuple):
    """The files of one leg, and its properties."""

    files: list[Path]
    parameters: dict[str, str]


class _Read(NamedTuple):
    """The translation of the files of one leg."""

    files: list[Path]
    translation: Translation


def transcript(  # noqa: PLR0913 - the leg has as many properties
    name: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.", show_default=False)],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", show_default=False)],
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    call: Annotated[str, typer.Option(metavar="ID", help="The call, as in the topic calls.")] = "",
    manager: Annotated[str, typer.Option(metavar="ID", help="The manager: an id of the roster, or an identity.")] = "",
    answered_at: Annotated[
        str,
        typer.Option(metavar="MOMENT", help="When the leg was answered: ISO 8601 with an offset, or ms."),
    ] = "",
    started_at: Annotated[
        str, typer.Option(metavar="MOMENT", help="When the recording began, if that is not the moment of the answer.")
    ] = "",
    lead: Annotated[str, typer.Option(metavar="ID", help="The lead: an id of the CRM, or a lead key.")] = "",
    manager_channel: Annotated[str, typer.Option(metavar="0|1", help="The channel, or file, of the manager.")] = "",
    channel: Annotated[str, typer.Option(metavar="0|1", help="The one channel that these files have.")] = "",
    language: Annotated[str, typer.Option(metavar="TAG", help="The language, where a transcript names none.")] = "",
    offset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SIDE=MS",
            show_default=False,
            help="How much later the zero of a side's times is than the recording: manager=120, customer=-2051.",
        ),
    ] = None,
    guessed: Annotated[
        bool, typer.Option("--guessed-roles", help="Sides were told apart by their voices, not by channels.")
    ] = False,
    names: Annotated[
        str,
        typer.Option(
            metavar="PATTERN",
            help='Read these from the names of files: "{call}.{manager}.{answered_at}.{channel}.json".',
        ),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the events, one per line, and send nothing to Kafka.")
    ] = False,
) -> None:
    """Replay what a recogniser wrote about a call: its utterances, and the end of the transcript.

    All files are of one leg, in the order in which they were written; of Whisper a file for each side, that of channel
    0 first. With --names, files of many legs may be given. Times count from the moment of the answer: say --started-at
    where the recording began earlier, and --offset where one side began later than the other.

    The same transcript gives the same ids: sent again, it counts once. What cannot be read is reported by its place,
    without a word of it.

    For example:

        callpulse replay transcript whisper manager.json customer.json --call c-1 --manager anna.weber
        --answered-at 2026-11-20T09:30:00Z --language en --json

        callpulse replay transcript deepgram --names "{call}.{manager}.{answered_at}.json" transcripts/*.json
    """
    if name not in FORMATS:
        raise UserError(f"there is no format {name}; known are {', '.join(FORMATS)}", USAGE)
    settings = read_settings(config, bootstrap)
    given = {
        "call": call,
        "manager": manager,
        "answered_at": answered_at,
        "started_at": started_at,
        "lead": lead,
        "manager_channel": manager_channel,
        "channel": channel,
        "language": language,
        "roles": "guessed" if guessed else "",
        **_offsets(offset or []),
    }
    jobs = _jobs(files, names, {key: value for key, value in given.items() if value})
    found = _read_all(settings, name, jobs)
    events = sum(len(one.translation.events) for one in found)
    if as_json:
        for one in found:
            write(b"".join(encode(event) + b"\n" for event in one.translation.events))
    else:
        stored, known = run(_send(settings, name, found))
        topic = settings.kafka.topic_prefix + topics.SPEECH.name
        utterances = sum(isinstance(event, SpeechUtterance) for one in found for event in one.translation.events)
        typer.echo(
            f"{events} events of {len(found)} transcripts ({utterances} utterances): {stored} are in Kafka now, topic "
            f"{topic}, {known} were there already."
        )
    _report([(one.files, refused) for one in found for refused in one.translation.refused], is_some=events > 0)


def _offsets(offsets: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in offsets:
        matched = _OFFSET.fullmatch(text)
        if matched is None:
            raise UserError(f'--offset "{text}" is not a side and milliseconds, such as customer=-2051', USAGE)
        found[f"{matched[1]}_offset_ms"] = matched[2]
    return found


def _jobs(files: Sequence[Path], pattern: str, given: Mapping[str, str]) -> list[_Job]:
    """Return the legs, each with its files. Raises UserError for a pattern that cannot be used."""
    if not pattern:
        return [_Job(list(files), dict(given))]
    form = _form(pattern)
    jobs: dict[tuple[tuple[str, str], ...], _Job] = {}
    for path in files:
        matched = form.fullmatch(path.name)
        if matched is None:
            raise UserError(f"the name of {path} does not fit --names", USAGE)
        parameters = {**matched.groupdict(), **given}
        # Two sides of one leg differ in their channel alone, and their order is that of the channels.
        side = parameters.pop("channel", "")
        jobs.setdefault(tuple(sorted(parameters.items())), _Job([], parameters | {"channel": side}))
        held = jobs[tuple(sorted(parameters.items()))]
        if side == "0":
            held.files.insert(0, path)
        else:
            held.files.append(path)
        if len(held.files) > 1 or not side:
            held.parameters.pop("channel", None)
    return list(jobs.values())


def _form(pattern: str) -> re.Pattern[str]:
    unknown = [one for one in _PLACEHOLDER.findall(pattern) if one not in PARAMETERS]
    if unknown:
        raise UserError(f"--names has {{{unknown[0]}}}; known are {', '.join(PARAMETERS)}", USAGE)
    pieces = _PLACEHOLDER.split(pattern)
    made = "".join(f"(?P<{one}>.+?)" if number % 2 else re.escape(one) for number, one in enumerate(pieces))
    try:
        return re.compile(made)
    except re.error:
        raise UserError("--names has a placeholder twice", USAGE) from None


def _read_all(settings: Settings, name: str, jobs: Sequence[_Job]) -> list[_Read]:
    people = People.of(settings, settings.privacy.lead_secret.reveal().encode() or DRY_RUN_SECRET)
    own = FORMATS[name].settings(settings.source(TranscriptsSettings), name)
    acceptance = Acceptance(settings.thresholds.future_ms)
    now_ms = int(time.time() * 1000)
    found = []
    with progress("reading", len(jobs)) as advance:
        for job in jobs:
            parameters = Asked(own, job.parameters, lambda manager: resolved(people, manager))
            read = translated(name, [_bytes(path) for path in job.files], parameters)
            events, refused = acceptance.all(read, now_ms)
            found.append(_Read(job.files, Translation(events=events, refused=refused, ignored=read.ignored)))
            advance(1)
    return found


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_DOCUMENT + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", USAGE) from None


async def _send(settings: Settings, name: str, found: Sequence[_Read]) -> tuple[int, int]:
    """Store all events. Return the number of new ones, and of those that the topic had already. Raises UserError."""
    from agents.gateway.folder import FolderError  # noqa: PLC0415 - slow to import
    from agents.gateway.importing import Sender, drained, known_ids  # noqa: PLC0415 - slow to import
    from agents.gateway.kafka_sink import KafkaSink  # noqa: PLC0415 - slow to import
    from agents.gateway.sink import NotStoredError  # noqa: PLC0415 - slow to import

    with progress("looking for what is there already", None) as advance:
        memory = settings.gateway.memory_bytes
        known = await known_ids(settings.kafka, {name}, memory, advance, of=(topics.SPEECH,))
    try:
        async with KafkaSink(settings, f"import-{NAME}") as sink:
            sender = Sender(sink, NAME, known, lambda why: say(f"Waiting: {why}"))
            try:
                for one in found:
                    await sender.send(one.translation.events, one.translation.refused)
                await sender.finish()
            finally:
                await sender.cancel()
            if not await drained(sink):
                raise UserError(
                    f"Kafka is away, and a part of the events waits on disk ({sink.pipeline.trouble}). Run this again "
                    "once Kafka is back: it sends what waits, and nothing twice.",
                    INFRASTRUCTURE,
                )
            return sender.results["accepted"], sender.results["duplicate"]
    except FolderError as error:
        raise UserError(str(error), INFRASTRUCTURE) from None
    except NotStoredError as error:
        raise UserError(
            f"not everything is stored: {error}. Run it again: what is stored is not sent again.", INFRASTRUCTURE
        ) from None


def _report(refused: Sequence[tuple[Sequence[Path], Refused]], *, is_some: bool) -> None:
    """Report the places that could not be read, and end with exit code 1 if there are any."""
    if not refused:
        return
    lines = []
    for files, one in refused[:_MOST_SHOWN]:
        paths = ", ".join(map(str, files))
        lines.append(f"{paths}, {one.where or 'the transcript'}: {one.reason}, {one.detail}")
    if len(refused) > _MOST_SHOWN:
        lines.append(f"and {len(refused) - _MOST_SHOWN} more")
    summary = "Not everything could be read; the rest was taken." if is_some else "Nothing could be read."
    say(f"{summary}\n{bullets(lines)}")
    raise typer.Exit(FAILED)
