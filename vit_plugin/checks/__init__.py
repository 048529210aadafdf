"""Checks of settings, data, labels, classes and weights before the first iteration."""
