"""HTML page of runs: intervals, curves over checkpoints, samples. A folder that needs no server and no network."""

from nextgpt.evaluate.run_page.page import write_page

__all__ = ["write_page"]
