"""The audit and the repair of recordings that are there: the work behind the command `repair`."""
