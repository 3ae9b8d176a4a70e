"""The words of a recording by a recognizer, and the options of every command that has words made."""
