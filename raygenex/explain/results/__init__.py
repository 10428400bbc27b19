"""Tables, figures and pages made of attributions."""
