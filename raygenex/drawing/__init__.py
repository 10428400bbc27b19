"""Figures and pages: colours, axes and what all of them share."""
