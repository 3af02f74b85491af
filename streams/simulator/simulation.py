"""`simulate`: runs a department and yields the records that arrive in Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streams.simulator.faults.injection import Delivery, FaultRates, Listener
from streams.simulator.people.roster import Department
from streams.simulator.rng import SeededRandom
from streams.simulator.speech.speakers import Speakers, SpeechOptions
from streams.simulator.telephony.calls import CallSimulation
from streams.simulator.telephony.emitter import Emitter
from streams.simulator.telephony.legs import Record

_DELIVERY_MS: Final = 5_000  # of simulated time between two checks for arrived records


def simulate(  # noqa: PLR0913 - one for each part of a department
    department: Department,
    start_ms: int,
    end_ms: int,
    *,
    faults: FaultRates | None = None,
    intensity: float = 1.0,
    truth: Listener | None = None,
    crm: bool = False,
    internal: float = 0.0,
    speech: SpeechOptions | None = None,
) -> Iterator[Record]:
    """Yield the records of the department in the order in which they arrive.

    No call begins at or after `end_ms`. Calls that began before it are finished, and all records in flight arrive, so
    the last records may be due days later. The same arguments give the same records. Other `faults` leave the calls
    unchanged. `intensity` multiplies the number of calls: each manager works on several lines at once, and talks keep
    their length. `truth` is called for every record just before it is yielded. With `crm` there are records of that
    topic, too. The same calls happen, but some of their leads change keys. After a share `internal` of their talks with
    customers, managers call a colleague. `speech` selects the answered legs with a transcript in topic `speech`; the
    calls are the same without it.

    Raises ValueError for an intensity that is not above 0, or an end before the start.
    """
    if not intensity > 0:
        raise ValueError(f"intensity is above 0; not {intensity}")
    if end_ms < start_ms:
        raise ValueError("the end is before the start")
    faults = faults or FaultRates()
    return _records(department, start_ms, end_ms, faults, intensity, truth, crm=crm, internal=internal, speech=speech)


def _records(  # noqa: PLR0913 - as above
    department: Department,
    start_ms: int,
    end_ms: int,
    faults: FaultRates,
    intensity: float,
    truth: Listener | None,
    *,
    crm: bool,
    internal: float,
    speech: SpeechOptions | None,
) -> Iterator[Record]:
    name = f"{department.seed}-{start_ms // 1000}"
    # Delivery has its own random generators, so that faults do not change the calls.
    post, crm_post, odd_deals = (
        SeededRandom(department.seed, of, start_ms) for of in ("post", "crm post", "odd deals")
    )
    delivery = Delivery(post, crm_post, odd_deals, faults, start_ms, truth)
    emitter, sender = Emitter(delivery, name), delivery if crm else None
    speakers = None if speech is None else Speakers(department.seed, speech, delivery)
    calls = CallSimulation(
        department, start_ms, end_ms, intensity, emitter, name, sender, internal=internal, speakers=speakers
    )
    look_ms = start_ms
    for now_ms in calls.run():
        if now_ms >= look_ms:
            yield from delivery.until(now_ms)
            look_ms = now_ms + _DELIVERY_MS
    # A manager with a planned transfer finishes the call alone.
    calls.finish(calls.hand_over)
    yield from delivery.rest()
