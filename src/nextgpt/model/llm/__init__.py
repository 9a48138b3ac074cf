"""Language model: text and soft tokens in, text and hidden states at signal tokens out.

Import from the modules: None of them is imported here, because most import torch.
"""
