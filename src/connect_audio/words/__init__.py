"""Words of a call while it lasts: the port of a recognizer, and the sink that makes each word durable exactly once."""
