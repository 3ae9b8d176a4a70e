"""How the command speaks: its texts, its files, its errors and exit codes."""
