"""`callpulse lexicon`: check lexicon files, try a sentence, and score the lexicon on labelled dialogues."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.table import Table

from agents.cli.common import (
    FAILED,
    USAGE,
    ConfigOption,
    JsonOption,
    UserError,
    bullets,
    cell,
    console,
    print_json,
    read_settings,
)
from agents.lexicons import loaded
from streams.contract.events import Role
from streams.speech.groups import LexiconError
from streams.speech.labels import Dialogue, read_dialogues
from streams.speech.lexicon import File, Lexicon
from streams.speech.reading import Reader
from streams.speech.score import Score, percent, score, table
from streams.speech.score_questions import Measure, QuestionScore
from streams.speech.words import Words

app = typer.Typer(no_args_is_help=True, help="Check, try and score the phrases that are looked for in transcripts.")
_SIDES: Final[tuple[Role, ...]] = ("manager", "customer")
Files = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Lexicon files over the shipped ones. By default those of speech.lexicons.", show_default=False
    ),
]
LexiconFiles = Annotated[
    list[Path] | None,
    typer.Option("--lexicon", "-l", help="A lexicon file over the shipped ones. By default those of speech.lexicons."),
]


@app.command("check")
def check(files: Files = None, config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Read lexicon files as a worker would, and name everything that is wrong: file, key and reason.

    For example:

        callpulse lexicon check our-product.toml
    """
    try:
        lexicon = _lexicon(files, config)
    except LexiconError as error:
        if as_json:
            print_json({"ok": False, "problems": [msgspec.to_builtins(problem) for problem in error.problems]})
            raise typer.Exit(FAILED) from None
        raise UserError(f"the lexicon cannot be used:\n{bullets(map(str, error.problems))}", FAILED) from None
    if as_json:
        groups = [{"kind": kind, "group": group} for kind, group in lexicon.groups]
        print_json({"ok": True, "version": lexicon.version, "groups": groups})
        return
    console().print(f"Nothing is wrong. {len(lexicon.groups)} groups, version {lexicon.version}.")


@app.command("try")
def try_(
    sentence: Annotated[str, typer.Argument(help="What somebody says.")],
    side: Annotated[str, typer.Option(help="Who says it: manager, customer or both.")] = "both",
    files: LexiconFiles = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show which phrases are found in a sentence, with kind, group and side.

    For example:

        callpulse lexicon try "Честно говоря, для нас это дорого"
    """
    if side not in (*_SIDES, "both"):
        raise UserError(f"--side is manager, customer or both, not {side}.", USAGE)
    lexicon = _usable(files, config)
    words = Words(sentence)
    found: dict[tuple[int, int, str, str, str], list[str]] = {}
    for one in _SIDES if side == "both" else (side,):
        for match in lexicon.find(words, "manager" if one == "manager" else "customer"):
            key = (
                words.places[match.first].start,
                words.places[match.end - 1].end,
                match.kind,
                match.group,
                match.phrase,
            )
            found.setdefault(key, []).append(one)
    rows = [
        {
            "said": sentence[start:end],
            "offset": start,
            "kind": kind,
            "group": group,
            "side": "both" if len(sides) > 1 else sides[0],
            "phrase": phrase,
        }
        for (start, end, kind, group, phrase), sides in sorted(found.items())
    ]
    questions = [{"type": question.type, "word": question.word} for question in lexicon.questions.find(words)]
    if as_json:
        print_json({"matches": rows, "questions": questions})
        return
    shown = console()
    if not rows:
        shown.print("No phrase of the lexicon is in this sentence.")
    else:
        lines = Table("said", "kind", "group", "side", "phrase of the lexicon", box=None, header_style="bold")
        for row in rows:
            lines.add_row(*(cell(str(row[name])) for name in ("said", "kind", "group", "side", "phrase")))
        shown.print(lines)
    for question in questions:
        shown.print(f"A question ({question['type']}) begins at word {int(str(question['word'])) + 1}.")


@app.command("score")
def score_(
    dialogues: Annotated[list[Path], typer.Argument(help="Labelled dialogues, one JSON object a line.")],
    files: LexiconFiles = None,
    config: ConfigOption = None,
    *,
    misses: Annotated[
        bool, typer.Option("--misses", help="List the utterances with something missed or found wrongly.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare what is heard in labelled dialogues with their labels: precision and recall, in total and by group.

    For example:

        callpulse lexicon score tests/fixtures/speech/dialogues/ru.ndjson --misses
    """
    settings = read_settings(config)
    labelled = [dialogue for path in dialogues for dialogue in _dialogues(path)]
    result = score(labelled, Reader(_usable(files, config), settings.speech))
    if as_json:
        print_json(_as_json(result, misses=misses))
        return
    shown = console()
    lines = Table("part", "group", "precision", "recall", "right", "wrong", "missed", box=None, header_style="bold")
    for part, group, tally in table(result):
        figures = (percent(tally.precision), percent(tally.recall))
        lines.add_row(part, cell(group or "all"), *figures, str(tally.right), str(tally.wrong), str(tally.missed))
    for name, measure in _of_questions(result):
        figures = (percent(measure.precision), percent(measure.recall))
        right, found = str(measure.right), str(measure.found - measure.right)
        lines.add_row("questions", name, *figures, right, found, str(measure.labelled - measure.met))
    shown.print(lines)
    shown.print(f"\n{result.dialogues} dialogues.")
    for miss in result.misses if misses else ():
        shown.print(
            f"{miss.utterance}  {miss.part} {miss.group or 'all'} {'found wrongly' if miss.wrong else 'missed'}"
        )


def _of_questions(result: Score) -> list[tuple[str, Measure]]:
    named: list[tuple[str, Measure]] = []
    parts: tuple[tuple[str, QuestionScore], ...] = (
        ("", result.questions),
        (", without punctuation", result.unmarked_questions),
    )
    for suffix, part in parts:
        named += [
            (f"all{suffix}", part.questions),
            (f"open and wh{suffix}", part.word_questions),
            (f"clarifying{suffix}", part.clarifying),
        ]
        named += [(f"{name}{suffix}", measure) for name, measure in part.by_type.items() if measure.labelled]
    return named


def _as_json(result: Score, *, misses: bool) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for part, group, tally in table(result):
        parts.setdefault(part, {})[group or "all"] = {
            "precision": tally.precision,
            "recall": tally.recall,
            **msgspec.to_builtins(tally),
        }
    parts["questions"] = {
        name: {"precision": measure.precision, "recall": measure.recall, **msgspec.to_builtins(measure)}
        for name, measure in _of_questions(result)
    }
    answer: dict[str, Any] = {"dialogues": result.dialogues, "parts": parts}
    if misses:
        answer["misses"] = [msgspec.to_builtins(miss) for miss in result.misses]
    return answer


def _usable(files: list[Path] | None, config: Path | None) -> Lexicon:
    try:
        return _lexicon(files, config)
    except LexiconError as error:
        raise UserError(f"the lexicon cannot be used:\n{bullets(map(str, error.problems))}", USAGE) from None


def _lexicon(files: list[Path] | None, config: Path | None) -> Lexicon:
    """Return the shipped lexicon with the files of the command line or, without these, with those of the settings."""
    paths = files or [Path(name) for name in read_settings(config).speech.lexicons]
    return loaded(tuple(File(str(path), _text(path)) for path in paths))


def _dialogues(path: Path) -> list[Dialogue]:
    try:
        return list(read_dialogues(_text(path)))
    except msgspec.DecodeError as error:
        raise UserError(f"{path} holds something that is no labelled dialogue: {error}.", USAGE) from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8 (byte {error.start}).", USAGE) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", USAGE) from None
