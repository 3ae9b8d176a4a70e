"""`connect-audio explain`: what happened to a call, out of its manifest."""
