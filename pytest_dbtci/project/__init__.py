"""The user's dbt project and profile, read without dbt."""
