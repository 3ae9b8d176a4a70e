"""The Lambda functions' entry points: composition roots that parse, build adapters, make one call, shape the answer."""
