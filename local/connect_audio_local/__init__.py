"""What only runs on a developer's machine: the KVS emulator, call synthesis, the demo and `connect-audio`."""
