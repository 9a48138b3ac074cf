"""Training for any model: recipes, the three alignment stages, and one training loop.

=========================================================  ====================================================
``recipe``, ``registry``, ``config``                       recipe files, their kinds, settings of the loop
``trainer``, ``backend``, ``optim``, ``muon``              the loop, steps of the optimizers
``checkpoint``, ``logging``, ``distributed``               checkpoints, metrics, processes
``align``, ``alignment_recipe``, ``stages``                the recipe kind ``alignment``
``objective``, ``losses``, ``prefix_forward``              its losses
``dataset``, ``corpora``, ``self_distillation``            batches, and data sources
``frozen_encoders``, ``feature_cache``                     outputs of the frozen components
``initial_model``, ``parameter_report``, ``model_card``    the model before, what is trained, the model after
``batch_pickle``, ``sample_callback``                      batches of other processes; replies during training
=========================================================  ====================================================
"""
