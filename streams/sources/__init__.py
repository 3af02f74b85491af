"""The sources, one module each.

The input is what a system sends or writes; the output is contract events and refusals.
"""
