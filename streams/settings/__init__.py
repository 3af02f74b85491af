"""The settings: one frozen object from a TOML file and the environment.

Begin with `settings`: `load` reads, `Settings` is the result.
"""
