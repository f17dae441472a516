"""What models of the family learn besides translation: one task a file."""
