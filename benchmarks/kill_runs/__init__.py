"""``kill -9`` at random moments: what stands on disk is whole, and what goes on ends as if nothing had happened."""
