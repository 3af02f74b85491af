"""The faults on the way of events: lost, repeated, late, malformed and senseless events.

Begin with `injection`.
"""
