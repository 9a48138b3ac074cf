"""Language model: text and soft tokens in, text and hidden states at signal tokens out.

Import from the modules: ``template.py`` does not import torch, so configs can be read without it.
"""
