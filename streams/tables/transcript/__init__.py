"""The transcript row: the marks of one leg's transcript, and the features that it sends when the leg is over.

Begin with `fold.TranscriptFold`.
"""
