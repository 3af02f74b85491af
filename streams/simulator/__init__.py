"""A simulated department: seeded, with a rhythm and all the faults of real sources, and with known answers.

`Department` says who works; `simulate` yields the records that their work sends to Kafka, in the order of arrival;
`Truth` listens and can say at any moment what every figure of activity must be. `stories.department` has people with a
story each, which the figures should tell. Pure: no clock, and no chance but the seed.
"""

from streams.simulator.faults.injection import Disturbance
from streams.simulator.people.roster import CAST, Department, Member, Personality
from streams.simulator.simulation import simulate
from streams.simulator.telephony.legs import Record
from streams.simulator.truth.truth import Truth

__all__ = ["CAST", "Department", "Disturbance", "Member", "Personality", "Record", "Truth", "simulate"]
