"""The HTTP server: OpenAI's API around an engine, and the chat page as one of its clients.

::

    request --middleware/--> api/ --protocol/--> Conversation --engine/--> events --protocol/--> answer or stream

``app`` assembles it, ``state`` holds what the routes share, ``launch`` runs it.
"""
