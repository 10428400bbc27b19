"""The command line: every verb loads a configuration, calls one function and prints one result."""
