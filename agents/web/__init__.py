"""TLS, passwords and tokens of callpulse's own HTTP ports, and how commands and workers log in at them."""
