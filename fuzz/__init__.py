"""Fuzzing of everything that reads bytes from outside: `make fuzz SECONDS=…`, and a bounded run among the tests."""
