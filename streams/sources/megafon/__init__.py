"""MegaFon's virtual PBX, and those of other operators with the same software: `event`, `history` and `contact`.

`history` is the record of a part of a call, with moments. An `event` has none but that of its receipt.
"""
