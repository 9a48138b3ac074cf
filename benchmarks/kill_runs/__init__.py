"""``kill -9`` at random moments: files on disk stay complete, and continued runs equal undisturbed ones."""
