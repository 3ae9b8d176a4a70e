"""Recognizers behind the port `connect_audio.words.recognizer`."""
