"""Ray: connecting to it, sending jobs to it, and the addresses and logs of both."""
