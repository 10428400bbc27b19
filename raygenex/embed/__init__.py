"""HyenaDNA, pooling, the embedding job and its store."""
