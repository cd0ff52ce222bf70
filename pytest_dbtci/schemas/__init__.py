"""The pull request's schemas: their names, their life, what is kept and what is swept."""
