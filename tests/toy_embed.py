"""The settings of the one embedding store that integration tests share."""

HYENA = {"kind": "hyenadna", "d_model": 16, "n_layer": 2, "seed": 1}
EMBED = {"bin_size": 32, "batch_size": 5, "rows_per_file": 32, "max_actors": 2, "cpus_per_actor": 0.5}
