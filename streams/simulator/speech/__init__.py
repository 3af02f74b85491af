"""The simulated speaker: talks of simulated legs, what is true of them, and what a recogniser makes of them.

`lines` has what is said, `dialogue` makes a talk of it with its truth (`talks`), `recognition` the events of a
transcript, and `speakers` says which legs have one.
"""
