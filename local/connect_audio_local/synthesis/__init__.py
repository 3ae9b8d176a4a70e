"""Speech, calls and the fragments of calls, written as Amazon Connect writes them."""
