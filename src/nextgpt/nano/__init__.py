"""Training of nano's own components on the small world; larger systems take such components from the Hub.

``autoencoder``, ``diffusion``, ``language_model``, ``encoder`` and ``attribute_pretraining`` are recipe kinds;
``dialogue_source`` is the data source of the alignment stages.
"""
