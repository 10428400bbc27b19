"""HDF5 files of promoters: reading, checking and writing them."""
