"""The small world: synthetic images, audio and video with exact specifications, and language about them."""
