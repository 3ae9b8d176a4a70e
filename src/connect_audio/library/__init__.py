"""The library behind `import connect_audio`: calls read from captures, streams and recordings.

The package `connect_audio` offers the public names and imports this package when one of them is used first. The command
`connect-audio replay` shares `capture.py` and `extraction.py`. Nothing here is imported by the Lambda functions.
"""
