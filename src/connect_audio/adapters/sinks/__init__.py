"""The sinks of live audio that come with the project: implementations of `AudioSink` (ports.py)."""
