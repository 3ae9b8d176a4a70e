"""Captures served as Kinesis Video streams."""
