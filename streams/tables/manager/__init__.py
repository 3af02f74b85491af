"""The table of managers: the rolling counts, legs, work and presence of one manager per row.

Begin with `fold`, which changes a row by an event. `series` reads a row as metrics.
"""
