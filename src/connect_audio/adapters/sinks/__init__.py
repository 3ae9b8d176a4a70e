"""The sinks that come with the project; `composition.py` makes them."""
