"""Lambda on one machine: its API, the durable engine, its quotas, a process for each invocation and its kill points."""
