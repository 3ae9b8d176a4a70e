"""`connect-audio serve`: recordings of a folder or a bucket in the browser, on this machine alone."""
