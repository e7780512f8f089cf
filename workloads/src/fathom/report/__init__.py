"""A report people can read: one HTML file without outside resources."""

from fathom.report.model import Arm, Chart, Curve, Fact, Gate, Item, Moment, Ranked, Report, User
from fathom.report.render import render

__all__ = ["Arm", "Chart", "Curve", "Fact", "Gate", "Item", "Moment", "Ranked", "Report", "User", "render"]
