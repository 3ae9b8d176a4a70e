"""Stand-ins for AWS on one machine. In each room `server` is the wire, `model` the state, `faults` misbehaviour."""
