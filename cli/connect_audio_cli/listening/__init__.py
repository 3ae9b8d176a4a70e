"""`connect-audio record`: one call, live, by the functions' recorder on the user's own machine."""
