"""Variants of one experiment, several seeds each, side by side: from a question to a report."""
