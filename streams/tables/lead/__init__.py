"""The table of leads: one row per lead, with its legs, notes, deals and activities.

Enter at `fold`, which changes a row by a fact. `contributions` defines what a lead adds to the figures of managers.
"""
