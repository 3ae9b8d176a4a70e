"""The command `connect-audio`. It starts without the stand-ins for AWS; a command imports them when it needs them."""
