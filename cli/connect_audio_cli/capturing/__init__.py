"""The command `capture`: an answer of Kinesis Video Streams as it was served, and a JSON of how it was had."""
