"""One file a command: its options, a call, a summary."""
