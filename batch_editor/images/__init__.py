"""What image files are, by their bytes."""
