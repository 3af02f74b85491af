"""RingCentral: notifications of telephony sessions, one for each state of a party, and the call log of the account.

A session is a call, a party of an extension is a leg of it. A notification is dated by its `timestamp`: `eventTime` is
the moment of the event in some accounts and the start of the call in others.
"""
