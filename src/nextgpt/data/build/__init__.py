"""Build dialogues for training: an LLM writes them, and media are retrieved or synthesized.

Each stage reads the rows of the stage before and writes one JSON line per planned dialogue::

    plan.jsonl      topic, language, modalities and intents of every turn        plan.py
    write.jsonl     texts and captions by an LLM                                 writing.py, prompting.py, endpoint.py
    check.jsonl     texts that break the plan or repeat others are dropped       checks.py, near_duplicates.py
    media.jsonl     a medium and its alternatives for every caption              media.py, media_makers.py
    filter.jsonl    personal data, licences, equal media, unsafe images          filters.py
    review.jsonl    decisions of people                                          review.py
    export/         corpora in several formats, and a card                       export.py, card.py

``row.py`` defines a row, ``recipe.py`` the settings, ``pipeline.py`` runs the stages. A stage is a function of the rows
before it and of two caches, ``requests.sqlite`` (answers of the LLM) and ``media/`` (made media). So an interrupted
build repeats no finished request and ends with the same result.
"""
