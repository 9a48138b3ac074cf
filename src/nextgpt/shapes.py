"""Legend of tensor shapes; this module has no code, as the letters stand in annotations only.

==  ==========================================
B   batch: conversations or items
N   media items
P   patches (feature vectors) per item
E   encoder width
K   soft tokens per item
T   positions in the language model
D   language model width
S   signal tokens of one modality
Q   queries, the length of a condition
C   condition width
F   frames
H   height (pixels or latent cells)
W   width (pixels or latent cells)
V   vocabulary
==  ==========================================

Annotations use jaxtyping, ``Float[Tensor, "B S D"]``. The tests check them at run time.
"""
