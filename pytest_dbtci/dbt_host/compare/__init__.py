"""What differs between two relations: one query for a pair that holds the same rows, a few more for others."""
