"""`make demo-speech`: text becomes voice, voice a transcript, and the transcript becomes figures, all offline."""
