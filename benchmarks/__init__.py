"""The performance claims of the documentation, measured again by `make bench`."""
