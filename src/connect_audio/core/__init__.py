"""The sans-IO core: bytes of GetMedia in, aligned audio out. No socket, no clock, no thread, no environment.

Time in here is media time: integer samples at the track's rate, or integer milliseconds since the epoch.
"""
