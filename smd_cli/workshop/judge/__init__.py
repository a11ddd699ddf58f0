"""The judge: a classifier that names what a crop shows, and whose features serve to compare pictures."""
