"""HDF5 files from a genome, an annotation and a table of expression."""
