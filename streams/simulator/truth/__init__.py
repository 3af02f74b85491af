"""The expected figures, counted from the true course of the simulation and not from the events that arrived.

Begin with `truth`.
"""
