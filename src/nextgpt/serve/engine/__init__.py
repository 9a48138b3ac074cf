"""Engines generate the answers: ``base`` is the interface, ``local`` and ``ray`` implement it.

::

    AdmissionControl -> LLMScheduler (one thread) -> DiffusionScheduler (one thread per modality) -> RequestHandle
"""
