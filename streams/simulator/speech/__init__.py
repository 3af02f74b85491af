"""The simulated speaker: talks of simulated legs, their labels, and their transcripts by a recogniser.

`lines` has the spoken lines, `dialogue` makes a talk of them with its truth (`talks`), `recognition` makes the events
of a transcript, and `speakers` selects the legs that have one.
"""
