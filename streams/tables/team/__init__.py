"""Sums of the managers of a team.

Begin with `series`. There is no row per team: the series are added up when they are read.
"""
