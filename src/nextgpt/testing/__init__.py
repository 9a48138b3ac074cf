"""Tiny parts and fakes that run in a blink, for the project's tests and for those of its users."""
