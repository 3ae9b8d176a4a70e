"""Recognizers of speech that the stand-ins of speech services are made with: a real one, and one for quick tests."""
