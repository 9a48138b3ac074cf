"""Choose where the media of each modality come from: a model, an endpoint, an index, or an index and one of these."""

from __future__ import annotations

from nextgpt.data.build.media_endpoint import EndpointMaker
from nextgpt.data.build.media_job import MediaMaker
from nextgpt.data.build.model_media import ModelMedia, SynthesisMaker
from nextgpt.data.build.recipe import BuildRecipe
from nextgpt.data.build.retrieved_media import RetrievalMaker
from nextgpt.data.index import MediaIndex
from nextgpt.modality import MODALITIES


def create_makers(recipe: BuildRecipe) -> dict[str, MediaMaker]:
    """Return the maker of each modality. Models and indexes are loaded on first use."""
    settings = recipe.media
    makers: dict[str, MediaMaker] = {}
    model = ModelMedia(settings, recipe.work)
    index = MediaIndex.open(settings.index) if settings.index is not None and settings.mode != "synthesize" else None
    for modality in MODALITIES:
        maker: MediaMaker = SynthesisMaker(modality, model)
        if settings.endpoint is not None and modality in settings.endpoint.modalities:
            maker = EndpointMaker(modality, settings, recipe.work, budget=recipe.budget, model=model)
        if index is not None:
            other = maker if settings.mode == "auto" else None
            maker = RetrievalMaker(modality, index, settings, recipe.work, otherwise=other)
        makers[modality] = maker
    return makers
