"""What runs say side by side: statistics over seeds, comparisons of head counts."""
