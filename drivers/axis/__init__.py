"""Axis: the 3D People Counter that pushes, and the People Counter application that is asked."""
