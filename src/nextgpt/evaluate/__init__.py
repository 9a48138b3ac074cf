"""Evaluation of models. Nothing here trains, and the model does not depend on it.

Two families of suites share the cascade and little else.

Suites of the small world, in which the judge decides whether a case is correct; a row is a fraction of correct cases:

===============================================  ==============================================================
``suite``, ``runner``                            interface and table of the suites; work in several processes
``miniworld``, ``text_only``                     held-out media in held-out templates; the same with captions
``people``, ``people_labels``                    requests in people's own words
``beyond_words``, ``continuous_attributes``      attributes that captions have no word for
``cases``, ``systems``                           a dialogue to hold, and what answers it
``miniworld_metrics``, ``correctness``           rows of the table, and their predicates
``score``, ``report``, ``contact_sheet``         intervals, tables and pictures of the results
===============================================  ==============================================================

Suites of standard tasks, on a corpus, with the metrics of papers (docs/evaluation.md):

===============================================  ==============================================================
``protocols``, ``standard``                      table of the suites; run of one
``annotations``, ``item_sources``, ``items``     annotations of a corpus to evaluation items
``item_systems``                                 what answers items: the model, baselines, floor and ceiling
``run_folder``, ``records``, ``answering``       answers on disk
``extractors``, ``media_features``               networks that turn media into features
``metrics``, ``scoring``, ``score_report``       values per metric and system, and their tables
``feature_store``, ``result_store``              features and values of a run that are not computed again
``rating``, ``run_page``                         ratings by people; page of a run
``exports``, ``lmms_eval``                       other people's scorers
===============================================  ==============================================================

``caption_llm``, ``cascade`` and ``cascade_model`` are the cascade: the LLM writes captions instead of signal tokens.
"""
