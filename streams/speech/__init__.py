"""What is heard in a transcript: from words to marks without text, and from the marks of a call to its features.

Enter at `marks.UtteranceMarks`, the only form in which speech is kept. Text ends here.
"""
