"""The table of leads: the history of one lead per row, and what it contributes to the figures of managers.

Enter at `fold`: it changes a row by a fact. `contributions` defines what counts.
"""
