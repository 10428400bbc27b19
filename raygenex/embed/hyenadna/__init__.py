"""HyenaDNA: the network, its long convolutions, and its public weights."""
