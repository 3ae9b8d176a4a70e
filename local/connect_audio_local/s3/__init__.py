"""S3 on one machine: moto as the server, and a proxy that misbehaves in front of it."""
