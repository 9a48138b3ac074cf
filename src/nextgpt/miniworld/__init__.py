"""The small world that nano is trained and tested on: contents, their renderings, splits and a judge."""
