"""The catalogue of the exported metrics: name, type, labels, unit and meaning of each.

Enter at `catalogue`: the collector, docs/metrics.md and the boards are checked against it.
"""
