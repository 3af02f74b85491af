"""The simulated CRM: leads, notes and deals, and their entry by managers.

Begin with `engine`.
"""
