"""The controller's side of the dbt process."""
