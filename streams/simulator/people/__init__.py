"""The people of the simulated department: their teams, working hours and stories.

Begin with `roster`.
"""
