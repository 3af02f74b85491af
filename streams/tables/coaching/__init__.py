"""The coaching row: contributions of the features of calls to a manager's figures, by local day.

Begin with `contributions.changes`, and with `view.CoachingReader` for the figures.
"""
