"""The live audio of Amazon Connect calls, out of Kinesis Video Streams, as stereo WAV recordings in S3."""
