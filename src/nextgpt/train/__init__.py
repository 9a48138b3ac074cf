"""Training for any model: recipes, the three alignment stages, and one training loop."""
