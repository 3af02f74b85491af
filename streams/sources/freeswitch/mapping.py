"""The settings that map channels of FreeSWITCH to managers: the table `[sources.freeswitch]`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, TypeAlias

from msgspec import Meta

from streams.phone_numbers import has_number
from streams.settings.access import Access
from streams.settings.fields import Secret, SecretForm
from streams.settings.reader import Conflict
from streams.sources.freeswitch.access import EslAccess
from streams.sources.numbers import NumberRules
from streams.units import DAY_MS

Pattern: TypeAlias = Annotated[str, Meta(min_length=1, max_length=512)]
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]


class FreeSwitchMapping(Access, frozen=True, kw_only=True):
    """Settings of the FreeSWITCH source. Patterns are regular expressions that must match as a whole, in any case.

    A channel leads to the outside if it goes over a gateway, if its profile or its host matches `trunks`, or if it came
    in a context of `trunk_contexts` without a login. Else the roster's identities decide its manager, and one whose
    user matches `internal` is a manager without a roster entry. All others are outside parties.

    - `username`, `password`: those of mod_json_cdr (`cred`). Without a password the token of the URL alone counts.
    - `default_queue`: NAME of the pseudo-manager `queue:NAME` for unanswered calls outside any queue.
    - `voicemail_apps`: applications of the dialplan that record a message.
    - `err_log_dir`: the folder with the records that could not be posted.
    """

    memory_ms: ClassVar[int] = DAY_MS  # records in err-log-dir may be read in the next morning
    source: Annotated[str, Meta(min_length=1, max_length=32)] = "freeswitch"
    username: Annotated[str, Meta(max_length=128)] = "callpulse"
    password: SecretForm = Secret()
    internal: Pattern = r"\d{2,6}"
    trunks: tuple[Pattern, ...] = (r"external.*", r".*(trunk|gateway|provider|carrier|sbc|pstn).*")
    trunk_contexts: tuple[Pattern, ...] = (r"public",)
    default_queue: Label = "inbound"
    voicemail_apps: Pattern = r"voicemail"
    region: Annotated[str, Meta(pattern="^[A-Z]{2}$")] | None = None
    numbers: NumberRules = NumberRules()
    err_log_dir: Annotated[str, Meta(max_length=4096)] = ""
    esl: EslAccess = EslAccess()

    def conflicts(self) -> Iterator[Conflict]:
        """Yield every unusable field with the reason."""
        patterns = (("internal", self.internal), ("voicemail_apps", self.voicemail_apps))
        several = (("trunks", self.trunks), ("trunk_contexts", self.trunk_contexts))
        for field, pattern in (*patterns, *((name, one) for name, held in several for one in held)):
            try:
                re.compile(pattern)
            except re.error as error:
                yield (field,), f"is no regular expression: {error}"
        for field in ("default_queue", "source"):
            if has_number(getattr(self, field)):
                yield (field,), "looks like a telephone number; these must not be published"
        if ":" in self.username:
            yield ("username",), "must not hold a colon"
