"""Build and test what a pull request changed in a dbt project, in schemas of its own, as pytest items."""

__version__ = "0.1.0"
