"""Reading, checking, simulating and sharding promoters."""
