"""The demo of transcripts: `make demo-speech`, or `python -m speech_demo --python PYTHON`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from agents.cli.common import FAILED, UserError, say
from agents.cli.demo.children import start_worker
from agents.embedded import EmbeddedKafka
from agents.kafka import admin
from agents.kafka.clients import full_name
from agents.kafka.heard import read_features
from agents.kafka.producer import BatchProducer
from agents.kafka.reading import records_to_end
from speech_demo.summary import lines, transcript
from speech_demo.talks import TALKS
from speech_demo.voices import PROGRAMS, speak
from streams.contract import topics
from streams.contract.decoding import Decoder
from streams.contract.events import CallAnswered, CallEnded, CallsEvent, CallStarted, Role, SpeechEvents, encode
from streams.contract.features import CallFeatures
from streams.settings.settings import Settings, load
from streams.sources.registry import SOURCES

_RECOGNISE: Final = Path(__file__).with_name("recognise.py")
_ROLES: Final[tuple[Role, ...]] = ("manager", "customer")
_RING_MS: Final = 8_000
_AFTER_MS: Final = 5_000
_SETTLE_S: Final = 60.0


def main(arguments: Sequence[str]) -> None:
    """Speak and recognise both calls, send them through Kafka, and show what came out."""
    options = _options(arguments)
    languages = options.language or list(TALKS)
    for language in languages:
        if shutil.which(PROGRAMS[language]) is None:
            raise UserError(f"{PROGRAMS[language]} is not installed (Debian: espeak-ng, festival, festvox-ru).")
    with TemporaryDirectory(prefix="callpulse-speech-") as folder:
        place = Path(folder)
        for language in languages:
            say(f"{language}: text becomes voice")
            truth = speak(language, TALKS[language], _paths(place, language, "wav"))
            (place / f"demo_{language}.speech.json").write_text(json.dumps(truth) + "\n", encoding="utf-8")
            say(f"{language}: voice becomes a transcript")
            _recognise(Path(options.python), language, place)
        if options.into is not None:
            for path in place.glob("demo_*.json"):
                shutil.copy(path, options.into)
            say(f"The transcripts are in {options.into}.")
            return
        _through_kafka(place, languages)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="speech_demo", description=__doc__)
    parser.add_argument("--python", required=True, help="the Python that has faster-whisper and its models")
    parser.add_argument("--language", action="append", choices=list(TALKS), help="one of the calls; without it both")
    parser.add_argument("--into", type=Path, help="write the transcripts into this folder, and leave")
    return parser.parse_args(arguments)


def _paths(place: Path, language: str, kind: str) -> dict[Role, Path]:
    return {role: place / f"demo_{language}_{role}.{kind}" for role in _ROLES}


def _recognise(python: Path, language: str, place: Path) -> None:
    sounds, texts = _paths(place, language, "wav"), _paths(place, language, "json")
    pairs = [str(path) for role in _ROLES for path in (sounds[role], texts[role])]
    # The models are on this machine: nothing may ask a hub for one.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run([str(python), str(_RECOGNISE), language, str(place), *pairs], check=False, env=environment)
    if ended.returncode:
        raise UserError(f"the recogniser ended with {ended.returncode}", FAILED)


def _through_kafka(place: Path, languages: Sequence[str]) -> None:
    with contextlib.ExitStack() as stack:
        say("starting Kafka and a worker")
        kafka = stack.enter_context(EmbeddedKafka())
        config = place / "callpulse.toml"
        config.write_text(_settings(kafka.bootstrap, place), encoding="utf-8")
        settings = load(config.read_text(encoding="utf-8"), {}, SOURCES)
        asyncio.run(admin.create(settings.kafka))
        worker, url = start_worker(config, place / "worker.log")
        stack.callback(worker.stop)
        answered = asyncio.run(_calls(settings, place, languages))
        for language in languages:
            texts = _paths(place, language, "json")
            _callpulse(
                *("replay", "transcript", "whisper", *(str(texts[role]) for role in _ROLES), "--config", str(config)),
                *("--call", f"demo-{language}", "--manager", TALKS[language].manager),
                *("--answered-at", str(answered[language])),
            )
        features = asyncio.run(_features(settings, languages))
        for language, events in asyncio.run(_heard(settings, languages)).items():
            say(f"\n{language}, {TALKS[language].manager}: what is in topic speech, and what the worker read out of it")
            for line in (*transcript(events), "", *lines(features[language])):
                say(f"  {line}")
        for language in languages:
            say("")
            _callpulse("coaching", TALKS[language].manager, "--config", str(config))
        say("")
        _callpulse("top", url, "--once", "--config", str(config))


async def _features(settings: Settings, languages: Sequence[str]) -> dict[str, CallFeatures]:
    """Return the features of each call, once the worker has sent them. Raises UserError if it does not."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        found = {
            fact.call.removeprefix("demo-"): fact.now.features
            for fact in await read_features(settings.kafka, 0)
            if fact.now is not None
        }
        if found.keys() >= set(languages):
            return found
        if time.monotonic() > deadline:
            raise UserError(f"the worker has sent no features within {_SETTLE_S:g} s", FAILED)
        await asyncio.sleep(0.5)


def _settings(bootstrap: str, place: Path) -> str:
    managers = "".join(f'[[managers]]\nid = "{talk.manager}"\n' for talk in TALKS.values())
    return f"""
[kafka]
bootstrap = "{bootstrap}"
[worker]
id = "speech-demo"
data_dir = {json.dumps(str(place / "data"))}
http_port = 0
[gateway]
data_dir = {json.dumps(str(place / "gateway"))}
{managers}"""


async def _calls(settings: Settings, place: Path, languages: Sequence[str]) -> Mapping[str, int]:
    """Send the calls themselves, which ended just now. Return when each was answered."""
    answered = {}
    async with BatchProducer(settings.kafka) as producer:
        for language in languages:
            texts = _paths(place, language, "json")
            talk_ms = int(json.loads(texts["manager"].read_bytes())["duration"] * 1000)
            at_ms = answered[language] = int(time.time() * 1000) - talk_ms - _AFTER_MS
            for event in _legs(f"demo-{language}", TALKS[language].manager, at_ms, talk_ms):
                await producer.add(full_name(settings.kafka, topics.CALLS), event.manager.encode(), encode(event))
    return answered


def _legs(call: str, manager: str, answered_ms: int, talk_ms: int) -> list[CallsEvent]:
    started_ms = answered_ms - _RING_MS
    ended_ms = answered_ms + talk_ms
    return [
        CallStarted(
            v=1, id=f"{call}-s", at=started_ms, source="demo", call=call, manager=manager, direction="outbound"
        ),
        CallAnswered(v=1, id=f"{call}-a", at=answered_ms, source="demo", call=call, manager=manager),
        CallEnded(
            v=1,
            id=f"{call}-e",
            at=ended_ms,
            source="demo",
            call=call,
            manager=manager,
            direction="outbound",
            started_at=started_ms,
            answered_at=answered_ms,
            talk_ms=talk_ms,
            disposition="answered",
        ),
    ]


async def _heard(settings: Settings, languages: Sequence[str]) -> dict[str, list[SpeechEvents]]:
    """Return the events of topic `speech`, by language."""
    decode = Decoder[SpeechEvents](topics.SPEECH.name).decode
    found: dict[str, list[SpeechEvents]] = {language: [] for language in languages}
    async for record in records_to_end(settings.kafka, full_name(settings.kafka, topics.SPEECH)):
        event = decode(record.value)
        if isinstance(event, SpeechEvents):
            found[event.call.removeprefix("demo-")].append(event)
    return found


def _callpulse(*arguments: str) -> None:
    ended = subprocess.run([sys.executable, "-m", "agents.cli", *arguments], check=False)
    if ended.returncode:
        raise UserError(f"callpulse {arguments[0]} ended with {ended.returncode}", FAILED)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except subprocess.CalledProcessError as error:
        say(f"error: {error.cmd[0]} ended with {error.returncode}")
        sys.exit(FAILED)
