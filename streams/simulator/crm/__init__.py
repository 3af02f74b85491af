"""The simulated CRM: leads, notes, deals, and the manner in which people keep them.

Enter at `engine`.
"""
