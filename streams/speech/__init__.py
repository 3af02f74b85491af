"""Analysis of transcripts: from words to marks without text, and from the marks of a call to its features.

Begin with `marks.UtteranceMarks`, the only form in which speech is kept. No text leaves this package.
"""
