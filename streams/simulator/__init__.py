"""A simulated department with the faults of real sources and known expected figures.

`Department` holds the people. `simulate` yields the records that their calls send to Kafka, in the order of arrival.
`Truth` takes these records and returns the expected activity figures. `stories.department` is a department with known
stories. Pure: no clock, and all randomness comes from the seed.
"""

from streams.simulator.faults.injection import FaultRates
from streams.simulator.people.roster import PERSONALITIES, Department, Member, Personality
from streams.simulator.simulation import simulate
from streams.simulator.speech.recognition import Recognition
from streams.simulator.speech.speakers import SpeechOptions
from streams.simulator.telephony.legs import Record
from streams.simulator.truth.truth import Truth

__all__ = [
    "PERSONALITIES",
    "Department",
    "FaultRates",
    "Member",
    "Personality",
    "Recognition",
    "Record",
    "SpeechOptions",
    "Truth",
    "simulate",
]
