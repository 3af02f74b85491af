"""The adapter of files: bytes of one file in, contract events and refused rows out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeGuard

from streams.contract.events import Event
from streams.sources.files.calls import CallRows
from streams.sources.files.cells import Cells
from streams.sources.files.deals import DealRows
from streams.sources.files.mapping import FileMapping
from streams.sources.files.parties import Parties
from streams.sources.files.rows import CsvRows, JsonRows, Row, RowError
from streams.sources.files.text import Line, Lines, UnreadableFileError
from streams.sources.frame import Refused, Translation, shape
from streams.sources.people import People

_MARK: Final = "\ufeff"


class FileReader:
    """Reads one file of a mapping. Feed its bytes in order, in pieces of any size, and then `finish`.

    `name` is that of the mapping; events carry it unless the mapping has another source. `latest_ms` is the latest
    moment that a row may have. `header` is that of an earlier reader, if reading continues after it.
    """

    def __init__(
        self,
        name: str,
        mapping: FileMapping,
        people: People,
        secret: bytes,
        latest_ms: int,
        header: Sequence[str] | None = None,
    ) -> None:
        self._source = source = mapping.source or name
        self._mapping = mapping
        self.latest_ms = latest_ms
        """The latest moment that a row may have. It may be set anew between two pieces."""
        self.header: Sequence[str] | None = None
        """The cells of the first line, once it is read; none for a file without names of columns."""
        self._parties = Parties(source, mapping, people, secret)
        self._lines = Lines(mapping.encoding)
        self._rows = _rows(mapping)
        self._skip = mapping.skip_lines if header is None else 0
        self._cells: Cells | None = None
        self._probe = ""
        self._translate: CallRows | DealRows | None = None
        if mapping.format == "json":
            self._begin(_keys(mapping))
        elif header is not None:
            self._begin(header)
        elif not mapping.header:
            self._begin(())
        self.rows = 0
        """Rows read so far, the header not among them."""

    @property
    def is_waiting(self) -> bool:
        """True if the last row goes on in the next line."""
        return self._rows.is_waiting

    @property
    def left_out(self) -> Counter[str]:
        """The numbers of unreadable values that did not make their row unreadable, by kind."""
        return Counter() if self._cells is None else self._cells.left_out

    def feed(self, data: bytes) -> Translation:
        """Return the events of the rows that end in `data`.

        Raises: UnreadableFileError: the file does not fit the mapping.
        """
        return self._read(row for line in self._lines.feed(data) for row in self._rows_of(line))

    def finish(self) -> Translation:
        """Return the events of the last rows, which end with the file. Raises UnreadableFileError."""
        last = [row for line in self._lines.finish() for row in self._rows_of(line)]
        found = self._read([*last, *self._rows.finish()])
        if self._translate is None and not self._mapping.header:
            return found
        if self._translate is None:
            raise UnreadableFileError("has no first line with the names of its columns")
        return found

    def _rows_of(self, line: Line) -> Iterator[Row]:
        if line.number > self._skip:
            yield from self._rows.feed(line)

    def _begin(self, header: Sequence[str]) -> None:
        """Take the names of the columns, none for a file that does not name them."""
        cells = Cells(self._mapping, header or None)
        cells.left_out = self.left_out
        self._cells, self.header = cells, header
        self._probe = self._cells.last_name
        kind = CallRows if self._mapping.what == "calls" else DealRows
        self._translate = kind(self._source, self._cells, self._parties)

    def _is_header(self, cells: list[str] | RowError) -> TypeGuard[list[str]]:
        """Return whether a row names the columns: files may stand one after the other, each with its header."""
        if isinstance(cells, RowError) or not self._mapping.header or self._mapping.format == "json":
            return False
        return (self._probe in cells or cells[0][:1] == _MARK) and self._cells is not None and self._cells.names(cells)

    def _read(self, rows: Iterable[Row]) -> Translation:
        events: list[Event] = []
        refused: list[Refused] = []
        ignored = 0
        for row in rows:
            if self._translate is None:
                if isinstance(row.cells, RowError):
                    raise UnreadableFileError(f"has a first line that cannot be read: {row.cells.detail}")
                self._begin(_without_mark(row.cells))
                continue
            if self._is_header(row.cells):
                self._begin(_without_mark(row.cells))
                continue
            self.rows += 1
            try:
                found = self._events(row)
            except RowError as error:
                where = f"line {row.line}"
                text = shape(row.text.encode("utf-8", "replace"))
                refused.append(Refused(reason=error.reason, detail=error.detail, where=where, shape=text))
            else:
                events += found
                ignored += not found
        return Translation(events=events, refused=refused, ignored=ignored)

    def _events(self, row: Row) -> list[Event]:
        if isinstance(row.cells, RowError):
            raise row.cells
        if not row.text.isprintable():
            _check_characters(row.text)
        if self._cells is None or self._translate is None:
            return []
        self._cells.check(row.cells)
        return self._translate.read(row.cells, self.latest_ms)


def _check_characters(text: str) -> None:
    """Refuse a row with invalid bytes of its encoding, or with control characters. Raises RowError."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise RowError("not_utf8", "holds bytes that the encoding of the file does not know")
    if any(char < " " and char not in "\t\n\r" for char in text):
        raise RowError("invalid_field", "holds a control character")


def _rows(mapping: FileMapping) -> CsvRows | JsonRows:
    return JsonRows(_keys(mapping)) if mapping.format == "json" else CsvRows(mapping.delimiter, mapping.quote)


def _keys(mapping: FileMapping) -> list[str]:
    """Return the keys of JSON objects that a mapping reads, each once."""
    columns = [name for column in mapping.columns.used().values() for name in column.column]
    return list(dict.fromkeys(str(name) for name in (*columns, *mapping.key)))


def _without_mark(cells: list[str]) -> list[str]:
    """Return the names of columns without the mark at the beginning of a file."""
    return [cells[0].removeprefix(_MARK), *cells[1:]]
