"""The simulated telephone system: who dials, talks and transfers, and the events of each leg.

Enter at `calls`.
"""
