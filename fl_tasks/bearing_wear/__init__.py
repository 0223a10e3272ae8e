"""Bearing wear of pumps at four operators: each pump is a device, and what is protected."""
