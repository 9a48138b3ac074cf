"""The model: one folder per step, in the order of the data path; :mod:`.nextgpt` combines the steps.

===========================================  ==================================================================
``encoding``, ``input_projection``, ``llm``  steps 1 to 3: media to soft tokens to hidden states
``output_projection``, ``synthesis``         steps 4 and 5: hidden states to conditions to media
``synthesis_requests``, ``retrieval``        what is synthesized, and what is taken from an index instead
``reply_assembler``, ``truncation``          parts of a reply in output order; conversations that fit the context
``feature_cache``, ``parallel``, ``timing``  features of earlier turns, threads, seconds per step
``model_dir``, ``hub``, ``package_source``   find and download models
``loading``, ``components``                  load components on first use, offload them
``trained_weights``, ``safetensors_io``      read and write weights
``memory_plan``, ``placement``               dtype and device of each component
``cpu_speed``, ``fused_linear``              number formats that the processor computes fastest
``memory_errors``, ``component_hash``        errors for a lack of memory; identity of a component
``summary``, ``quirks``                      parameter counts; compatibility with published weights
===========================================  ==================================================================
"""
