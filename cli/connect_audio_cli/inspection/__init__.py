"""The contents of a capture as rows: fragments or elements."""
