"""The transcript row: what is kept of one leg's transcript, and the features that it sends when the leg is over.

Enter at `fold.TranscriptFold`.
"""
