"""The engine of a cluster: each step of the path is a Ray Serve deployment with replicas of its own.

::

    RayEngine ──media──> Encoder ──features──> RayEngine ──conversation, features──> Speaker
        ^                                                                               │ words, orders
        └──── media <── Synthesizer (image, audio, video) <── orders with conditions ───┘
"""
