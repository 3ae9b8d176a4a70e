"""The Lambda functions' entry points: composition roots that parse, build adapters, make one call and shape the answer."""
