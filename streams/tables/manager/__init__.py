"""The table of managers: the rolling counts, legs, work and presence of one manager per row.

Enter at `fold`: it changes a row by an event. `series` reads a row as metrics.
"""
