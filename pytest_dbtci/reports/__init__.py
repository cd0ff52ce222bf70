"""Results for people: terminal, summary, comment, annotations."""
