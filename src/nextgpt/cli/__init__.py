"""The command line: one file a command, each a typed function; ``app.py`` lists them."""
