"""Engine on a Ray cluster: each stage of the model is a Ray Serve deployment with its own replicas.

::

    RayEngine ──media──> encoder ──features──> RayEngine ──conversation, features──> LLM
        ^                                                                             │ text, synthesis requests
        └──── media <── synthesizer (image, audio, video) <── requests with conditions ─┘
"""
