"""The calls, leads and deals behind a figure.

Begin with `explainer`; `recipes` defines each figure a second time, apart from the code that exports it.
"""
