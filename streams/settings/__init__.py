"""The settings: one frozen object from a TOML file and the environment.

Enter at `settings`: `load` reads, `Settings` is the result.
"""
