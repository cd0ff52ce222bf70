"""What a pull request's relations are compared with, and what a project says about it."""
