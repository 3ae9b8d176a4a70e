"""Stacks of this project as the account has them, for the commands that take `--stack NAME`."""
