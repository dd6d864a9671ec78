"""Recommendations: a model trained from the lake, judged beside simple rules, and served from memory.

A model has nothing about any person: counts by country and language, factors of matches, and what each kind of hint is
worth. What a visitor has looked at is read from the lake when it is needed, and is gone when it is erased there.
"""
