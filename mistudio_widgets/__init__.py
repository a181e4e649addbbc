"""A Jupyter-native dataset manager."""
