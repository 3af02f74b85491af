"""The faults between what happens and what arrives: lost, repeated, late, malformed and senseless events.

Enter at `injection`.
"""
