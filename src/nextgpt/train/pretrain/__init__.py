"""The parts of nano, each trained from nothing: autoencoders, diffusion models, encoder and language model.

A paper-size system takes these parts from the Hub; only nano makes its own. One file a kind of part.
"""
