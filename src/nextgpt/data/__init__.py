"""Corpora as people have them: read, checked, shown, converted and packed. Knows media, but no model."""
