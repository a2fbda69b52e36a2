"""LTV-Lab for BtoB: from a company's own extracts to a monthly review of customer lifetime value."""

__version__ = "0.1.0"
