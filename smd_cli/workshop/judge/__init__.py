"""The judge: names what a crop of a picture shows, and gives features to compare pictures by."""
