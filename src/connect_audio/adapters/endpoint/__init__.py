"""HTTP endpoints outside AWS: their addresses under a guard, one bounded connection, and the secret of each."""
