"""Xovis sensors with firmware 5: JSON data push."""
