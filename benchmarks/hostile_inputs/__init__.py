"""Hostile inputs from seeds for all readers and routes: files, requests, and a run that counts the outcomes."""
