"""How fast a model answers and how much memory it takes, beside a plain reference in the same run.

The reference is what one writes first with the stock libraries: everything loaded at once, ``generate`` with
its default settings, fifty denoising steps with the text encoder and guidance as two calls, one medium at a
time, nothing kept from turn to turn. Ratios against it say more than seconds, which depend on the machine.
"""
