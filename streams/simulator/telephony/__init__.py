"""The simulated telephone system: dials, talks and transfers, and the events of each leg.

Begin with `calls`.
"""
