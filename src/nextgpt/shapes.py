"""The one legend of tensor shapes; every annotation and trailing comment in the project uses these letters.

==  ==========================================
B   batch: conversations, or items, side by side
N   media items
P   patches (feature vectors) an item
E   encoder width
K   soft tokens an item
T   positions in the language model
D   language-model width
S   signal tokens of one modality
Q   queries, the length of a condition
C   condition width
F   frames
H   height (pixels or latent cells)
W   width (pixels or latent cells)
V   vocabulary
==  ==========================================

Written with jaxtyping, ``Float[Tensor, "B S D"]``, and checked at run time wherever the tests run.
"""
