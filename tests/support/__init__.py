"""Helpers of the tests. No test module imports another test module; it imports these."""
