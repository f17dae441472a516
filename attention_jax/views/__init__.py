"""Plots and the report folder. Matplotlib is imported only when a figure is drawn."""
