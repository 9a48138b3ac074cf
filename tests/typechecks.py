"""The checker that conftest.py has put on every function of the package."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

# An int is a float, as PEP 484 has it: frame rates and scales are often whole.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
