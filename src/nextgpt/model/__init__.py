"""The model: one folder per step, in the order of the data path; :mod:`.nextgpt` combines the steps."""
