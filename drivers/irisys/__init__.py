"""Irisys Vector 4D: count logs by HTTP push."""
