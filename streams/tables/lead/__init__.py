"""The table of leads: one row per lead, with its legs, notes, deals and activities.

Begin with `fold`, which changes a row by a fact. `contributions` defines the contributions of a lead to figures.
"""
