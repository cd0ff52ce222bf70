"""pytest's side of a run: the controller, its items and fixtures, and what pytest shows."""
