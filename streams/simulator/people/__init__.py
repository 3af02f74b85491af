"""The people of the simulated department: their teams, working hours and stories.

Enter at `roster`.
"""
