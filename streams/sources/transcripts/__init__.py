"""Transcripts: what recognisers of speech write, as events of the topic `speech`.

A reader takes the JSON of one recogniser and whose leg it is, and returns utterances and the end of the transcript. Ids
are made of the leg and of what the recogniser says about an utterance, so a repeat counts once. No refusal holds a word
that was said.
"""
