"""Transcripts: output of speech recognisers as events of the topic `speech`.

A reader takes the JSON of one recogniser and the leg, and returns utterances and the end of the transcript. Ids are
made of the leg and of the recogniser's data of an utterance, so a repeat counts once. No refusal contains a spoken
word.
"""
