"""Systems that answer evaluation items: the model, its baselines, floor and ceiling, and other servers."""
