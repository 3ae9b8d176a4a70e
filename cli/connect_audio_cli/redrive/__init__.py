"""Failed recordings from the dead-letter queue, started again."""
