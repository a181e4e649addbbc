"""Looking into the texts of a dataset: pages, filters and search."""
