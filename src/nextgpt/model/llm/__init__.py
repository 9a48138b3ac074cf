"""Third step: the language model hears words and soft tokens, and says words and signal tokens.

Import from the modules: ``template.py`` is light, so that configs can be read without torch.
"""
