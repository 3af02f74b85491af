"""The simulated CRM: leads, notes, deals, and how managers enter them.

Enter at `engine`.
"""
