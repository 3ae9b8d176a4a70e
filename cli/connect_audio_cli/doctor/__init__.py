"""The checks of `connect-audio doctor`: one file a theme, each check read-only and on its own."""
