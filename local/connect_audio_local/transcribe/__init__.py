"""A stand-in of Amazon Transcribe's streaming API: HTTP/2 over TLS, checked to the last signature."""
