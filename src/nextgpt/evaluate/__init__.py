"""Evaluation of models. Nothing here trains, and the model does not depend on it.

There are two families of suites, a folder each. Neither imports the other; both import the shared modules.

``miniworld/``, suites of the small world: the judge decides if a case is correct; a row is a fraction of correct cases.

===============================================  ==============================================================
``suite``, ``runner``                            interface and table of the suites; work in several processes
``held_out``, ``text_only``                      held-out media in held-out templates; the same with captions
``people``                                       requests in people's own words
``beyond_words``, ``continuous_attributes``      attributes that captions have no word for
``cases``, ``systems``, ``cascade``              a dialogue to hold, and what answers it
``metrics``, ``correctness``                     rows of the table, and their predicates
``report``, ``contact_sheet``                    tables and pictures of the results
===============================================  ==============================================================

``standard/``, suites of standard tasks: items of a corpus, with the metrics of papers (docs/evaluation.md).

===============================================  ==============================================================
``protocols``, ``run_suite``                     table of the suites; run of one
``annotations``, ``item_sources``, ``items``     annotations of a corpus to evaluation items
``item_systems``, ``cascade_model``              what answers items: the model, baselines, floor and ceiling
``run_folder``, ``records``, ``answering``       answers on disk
``media_features``, ``feature_store``            features of media; those of a run are not computed again
``scoring``, ``score_report``                    values per metric and system, and their tables
``result_store``                                 values of a run that are not computed again
``exports``                                      folders for other people's scorers
===============================================  ==============================================================

Shared modules, and tools around runs of standard tasks:

===============================================  ==============================================================
``metrics``, ``extractors``                      functions from values to a result; networks from media to features
``score``                                        fraction of correct cases with its interval
``caption_llm``, ``caption_synthesizer``         the cascade: the LLM writes captions instead of signal tokens
``rating``, ``run_page``                         ratings by people; page of a run
``lmms_eval``                                    adapter for lmms-eval
===============================================  ==============================================================
"""
