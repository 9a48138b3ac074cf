"""NExT-GPT: any mix of text, images, audio and video in, any mix of text, images, audio and video out."""
