"""raygenex: distributed prediction of gene expression from promoter DNA and mRNA half-life features."""

__version__ = "0.1.0"
