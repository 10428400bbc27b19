"""What variants do to the logit of the genes near them."""
