"""The catalogue of the exported metrics: name, type, labels, unit and meaning of each.

Begin with `catalogue`. Tests compare the collector, docs/metrics.md and the boards with it.
"""
