"""Read, validate, preview, convert and pack corpora.

The modules of this folder and ``formats`` depend on no model. ``index`` and ``build`` load the models that embed,
synthesize and rank media; ``review`` serves pages for what ``build`` made.
"""
