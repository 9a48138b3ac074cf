"""How much a running server bears, measured from outside: ``python -m nextgpt.serve.load --help``."""
