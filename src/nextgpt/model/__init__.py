"""The model: five steps, a folder each, in the order in which the data travels; :mod:`.nextgpt` tells the story."""
