"""A capture becomes a WAV, a manifest and live segments."""
