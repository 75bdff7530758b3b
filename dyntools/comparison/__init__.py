"""Comparison: several reports side by side, with what their differences are worth.

Reports in, rows of numbers out; never torch, and nothing is printed here.
"""
