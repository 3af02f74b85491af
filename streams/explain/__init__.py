"""Which calls, leads and deals are behind a figure.

Enter at `explainer`; `recipes` defines each figure a second time, apart from the code that exports it.
"""
