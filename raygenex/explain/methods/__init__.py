"""Attribution methods, a file each, which `raygenex.explain.compute` calls by name.

`needs` says which model allows which method, `logit` is the function that all of them explain, and `references` and
`fixed_dna` are what they compare with.
"""
