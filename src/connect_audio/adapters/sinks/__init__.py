"""Where live audio goes: implementations of `AudioSink` (ports.py)."""
