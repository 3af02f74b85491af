"""The stretches of speech of one utterance, made of its words if they have times.

Recognisers cut utterances for reading, not for measuring: one often spans a pause of seconds in which the other side
spoke. The times of words are the better evidence. A word is no evidence beyond `longest_word`: if recognition fails,
one word may last from the sentence before to the sentence after.
"""

from __future__ import annotations

from streams.contract.events import SpeechUtterance


def stretches(event: SpeechUtterance, word_gap_ms: int, longest_word_ms: int) -> tuple[tuple[int, int], ...]:
    """Return the stretches of speech of an utterance: [start, end) in ms from the moment of answer, in order, apart.

    Words at most `word_gap_ms` apart are one stretch. Their order and their overlaps do not matter. Only the last part
    of a word that is longer than `longest_word_ms` counts: recognisers find the end of a word, and let the first word
    after a pause begin where the pause began. Times outside the utterance do not count. Without words that have a
    length inside the utterance, the whole utterance is one stretch; it alone may be of no length, so there is always
    one.
    """
    first, last = event.start_ms, event.end_ms
    times: list[tuple[int, int]] = []
    in_order = True
    latest = 0
    for word in event.words:
        end = min(word.end_ms, last)
        start = max(max(word.start_ms, first), end - longest_word_ms)  # noqa: PLW3301 - two each: compiled to machine code
        if start <= end:  # a word of no length still joins its neighbours
            times.append((start, end))
            in_order = in_order and latest <= start
            latest = start
    if not in_order:
        times.sort()
    joined: list[tuple[int, int]] = []
    begun, reached = -1, -1
    for start, end in times:
        if begun >= 0 and start - reached <= word_gap_ms:
            reached = max(reached, end)
            continue
        if begun < reached:
            joined.append((begun, reached))
        begun, reached = start, end
    if begun < reached:
        joined.append((begun, reached))
    return tuple(joined) if joined else ((first, last),)


def unclear(event: SpeechUtterance, longest_word_ms: int) -> tuple[tuple[int, int], ...]:
    """Return the beginnings of over-long words, which `stretches` does not count, in order of the words.

    The recogniser heard something there and did not understand it, so they are neither speech nor silence.
    """
    found: list[tuple[int, int]] = []
    for word in event.words:
        if word.end_ms - word.start_ms > longest_word_ms:
            end = min(word.end_ms, event.end_ms)
            start = max(word.start_ms, event.start_ms)
            if end - start > longest_word_ms:
                found.append((start, end - longest_word_ms))
    return tuple(found)
