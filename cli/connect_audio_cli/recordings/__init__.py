"""Finished recordings: the WAV, its manifest, and other forms of both."""
