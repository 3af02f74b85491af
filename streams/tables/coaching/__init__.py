"""The coaching row: what the features of calls add to a manager's figures, by local day.

Enter at `contributions.changes`, and at `view.CoachingReader` for the figures.
"""
