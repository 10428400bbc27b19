"""What is in a data set, and whether its splits are fit to be compared."""
