"""A receiver of signed segments, to try a webhook and to test one."""
