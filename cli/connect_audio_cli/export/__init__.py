"""`connect-audio export`: calls that are over, recorded from their streams into a folder."""
