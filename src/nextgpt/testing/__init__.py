"""Tiny components and fakes for the tests of this project and of its users; import them from their modules.

======================  ===========================================================
``fakes``               an encoder and a synthesizer that compute nothing
``scripted_model``      a model that replies from a script, and tiny media
``model``               a whole tiny model, fake or with real tiny networks
``language_model``      a tiny LLM
``encoders``            folders of tiny encoders
``synthesizers``        folders of tiny synthesizers like nano's
``tokenizer``           a byte-level tokenizer
``serial_engine``       an engine that answers one request after the other
======================  ===========================================================
"""
