"""The settings of the one embedding store that integration tests share, and the manifest of a small one."""

from raygenex.embed.store import StoreManifest

HYENA = {"kind": "hyenadna", "d_model": 16, "n_layer": 2, "seed": 1}
EMBED = {"bin_size": 32, "batch_size": 5, "rows_per_file": 32, "max_actors": 2, "cpus_per_actor": 0.5}


def store_manifest(**values: object) -> StoreManifest:
    """Return the manifest of a store of 3 bins of 4 numbers; ``values`` go before its own."""
    return StoreManifest(
        **{
            "package_version": "1",
            "backbone": {"kind": "hyenadna"},
            "weights_sha256": "a" * 64,
            "revision": None,
            "window": 24,
            "bin_size": 8,
            "pooling": "mean",
            "dtype": "float16",
            "precision": "fp32",
            "shape": (3, 4),
            "fingerprints": {"train": ["f1"], "valid": ["f2"]},
            "rows": {"train": 10},
            "complete": True,
        }
        | values
    )
