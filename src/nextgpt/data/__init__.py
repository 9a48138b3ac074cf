"""Read, validate, preview, convert and pack corpora. Knows media, but no model."""
