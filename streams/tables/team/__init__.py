"""Sums of the managers of a team.

Enter at `series`: there is no row per team; the series are added up when they are read.
"""
