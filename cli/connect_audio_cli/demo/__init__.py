"""A whole call through the real handlers, on one machine."""
