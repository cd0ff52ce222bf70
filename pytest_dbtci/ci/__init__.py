"""The CI build that runs this, as its environment describes it."""
