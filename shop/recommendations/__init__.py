"""Recommendations: what analytics advises, as far as it is sensible, and else a rule that needs nobody."""
