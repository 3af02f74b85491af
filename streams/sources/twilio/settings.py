"""The settings of Twilio: the table `[sources.twilio]`."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from streams.settings.access import Access
from streams.settings.fields import Secret, SecretForm
from streams.settings.polls import SecretUrl
from streams.sources.numbers import NumberRules

NAME: Final = "twilio"
Dialect: TypeAlias = Literal["twilio", "signalwire", "telnyx"]
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]


class TwilioSettings(Access, frozen=True, kw_only=True):
    """Signatures of callbacks, and the numbers and queue of the department.

    - `auth_token`: the key of the callbacks' signatures: the auth token of Twilio, the signing key of SignalWire.
      Telnyx signs in another way, which is not checked: there the token in the URL is the only authentication.
    - `account_sid`: callbacks of another account are refused. Empty: any.
    - `public_url`: the URL as it was given to Twilio, with its query, where the gateway sees another one.
    - `dialect`: the sender: `twilio`, `signalwire` (LaML) or `telnyx` (TeXML).
    - `own_numbers`: the numbers of the department. A call never has one of them as its lead.
    - `queue`: the name of the queue of unanswered inbound calls. Callbacks name none.
    - `api_url`: the address of the list of calls, if not Twilio's own: `https://SPACE.signalwire.com/api/laml`.
    - `api_user`, `api_token`: the access to it, if not the account and its auth token: an API key and its secret.
    """

    auth_token: SecretForm = Secret()
    account_sid: str = ""
    public_url: str = ""
    dialect: Dialect = "twilio"
    own_numbers: tuple[str, ...] = ()
    queue: Label = "inbound"
    api_url: SecretUrl = Secret()
    api_user: str = ""
    api_token: SecretForm = Secret()
    numbers: NumberRules = NumberRules()
