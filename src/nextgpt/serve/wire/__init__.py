"""The shapes of requests and answers: pydantic in, plain values out. Knows no model."""
