"""Request of ``POST /v1/responses`` and its conversion to a chat request, so that both routes share one path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from nextgpt.serve.errors import ApiError
from nextgpt.serve.file_store import PREFIX
from nextgpt.serve.protocol.chat import (
    AudioUrlPart,
    ChatMessage,
    ChatRequest,
    ContentPart,
    FilePart,
    FileReference,
    GenerationOptions,
    ImagePart,
    InputAudioPart,
    MediaPart,
    NextGPTOptions,
    OpenAIModel,
    Seed,
    TextPart,
    TokenLimit,
    VideoPart,
)
from nextgpt.serve.protocol.text_format import TextFormat

ITEM_PREFIXES = {"image": "ig_", "audio": "ag_", "video": "vg_"}
"""Ids of generated media as output items: the prefix, then the digits of the file's id."""


class InputText(OpenAIModel):
    """Text, of the user or of an earlier answer."""

    type: Literal["input_text", "output_text"]
    text: str

    def to_chat(self) -> ContentPart:
        """Return the part as a chat has it."""
        return TextPart(type="text", text=self.text)


class InputImage(OpenAIModel):
    """Image: a data URI, an allowed https URL, or the id of an uploaded file."""

    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None

    def to_chat(self) -> ContentPart:
        """Return the part as a chat has it."""
        if not (reference := self.image_url or self.file_id):
            raise ApiError(400, "input_image is empty; expected image_url or file_id.", param="input")
        return ImagePart(type="image_url", image_url=reference)


class InputAudioItem(InputAudioPart):
    """Audio clip."""

    def to_chat(self) -> ContentPart:
        """Return the part as a chat has it."""
        return InputAudioPart(type="input_audio", input_audio=self.input_audio)


class InputFile(OpenAIModel):
    """File of any modality; its content determines which."""

    type: Literal["input_file"]
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None

    def to_chat(self) -> ContentPart:
        """Return the part as a chat has it."""
        reference = FileReference(file_id=self.file_id, file_data=self.file_data or self.file_url)
        return FilePart(type="file", file=reference)


InputPart = Annotated[InputText | InputImage | InputAudioItem | InputFile, Field(discriminator="type")]


class MessageItem(OpenAIModel):
    """Message of the user, the operator, or an earlier answer."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[InputPart]

    def to_chat(self) -> list[ContentPart]:
        """Return the parts as a chat has them."""
        if isinstance(self.content, str):
            return [TextPart(type="text", text=self.content)]
        return [part.to_chat() for part in self.content]


class GeneratedMediumItem(OpenAIModel):
    """Medium of an earlier answer: its base64, or the id alone while its file is kept."""

    type: Literal["image_generation_call", "audio_generation_call", "video_generation_call"]
    id: str | None = None
    result: str | None = None
    role: Literal["assistant"] = "assistant"

    def to_chat(self) -> list[ContentPart]:
        """Return the part as a chat has it."""
        reference = self.result or PREFIX + (self.id or "").partition("_")[2]
        return [_media_part(self.type.partition("_")[0], reference)]


class ItemReference(OpenAIModel):
    """Output item of a stored response, by its id."""

    type: Literal["item_reference"] = "item_reference"
    id: str


class ReasoningItem(OpenAIModel):
    """Reasoning of another model; it is ignored."""

    type: Literal["reasoning"]


def _item_type(item: Any) -> str:
    """Return which kind of item this is; clients leave ``type`` out for messages and references."""
    values = item if isinstance(item, dict) else getattr(item, "__dict__", {})
    kind = values.get("type") or ("item_reference" if "id" in values and "role" not in values else "message")
    return "generated" if str(kind).endswith("_generation_call") else str(kind)


InputItem = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[GeneratedMediumItem, Tag("generated")]
    | Annotated[ItemReference, Tag("item_reference")]
    | Annotated[ReasoningItem, Tag("reasoning")],
    Discriminator(
        _item_type,
        custom_error_type="unknown_item",
        custom_error_message="The type of the item is unknown; expected message, image_generation_call, "
        "audio_generation_call, video_generation_call, item_reference or reasoning",
    ),
]


class ImageGenerationTool(OpenAIModel):
    """OpenAI's image tool. The model generates images without it; it sets the number of previews."""

    type: Literal["image_generation"]
    partial_images: int = Field(0, ge=0, le=3)
    """Previews per image in a stream."""


class TextOptions(OpenAIModel):
    """Options of the text."""

    format: TextFormat = Field(default_factory=TextFormat)


class ForcedTool(OpenAIModel):
    """Tool that the model has to use."""

    type: Literal["image_generation"]


class ResponseRequest(OpenAIModel):
    """Conversation to answer, or the next turn of a stored one."""

    model: str
    input: str | list[InputItem]
    instructions: str | None = None
    """System message of this answer alone."""
    previous_response_id: str | None = None
    store: bool = True
    """Whether to keep the response, for ``previous_response_id`` and ``GET``."""
    background: bool = False
    """Whether to answer at once and generate in the background; ``GET`` returns the result."""
    stream: bool = False
    modalities: list[str] | None = None
    """Modalities that the answer may have. Absent: the model decides."""
    seed: Seed | None = None
    temperature: float = Field(0.0, ge=0, le=2)
    top_p: float = Field(1.0, ge=0, le=1)
    max_output_tokens: TokenLimit | None = None
    tools: list[ImageGenerationTool] = Field(default_factory=list)
    tool_choice: Literal["auto", "none", "required"] | ForcedTool = "auto"
    text: TextOptions = Field(default_factory=TextOptions)
    metadata: dict[str, str] = Field(default_factory=dict, max_length=16)
    nextgpt: GenerationOptions = Field(default_factory=GenerationOptions)

    @property
    def num_previews(self) -> int:
        """Previews per image."""
        return max((tool.partial_images for tool in self.tools), default=0)

    def to_chat(self, items: Iterable[InputItem]) -> ChatRequest:
        """Return the chat request for ``items``, the input without references.

        Raises:
            ApiError: There is no message.
        """
        messages = to_messages(items)
        if not messages:
            raise ApiError(400, "input is empty; expected at least one message.", param="input")
        is_image_forced = isinstance(self.tool_choice, ForcedTool)
        return ChatRequest(
            model=self.model,
            messages=messages,
            n=1,
            modalities=["image"] if is_image_forced else self.modalities,
            seed=self.seed,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_output_tokens,
            response_format=self.text.format,
            nextgpt=NextGPTOptions(**dict(self.nextgpt)),
        )


def input_items(request_input: str | Sequence[InputItem]) -> list[InputItem]:
    """Return the input as items; a string is a message of the user."""
    if isinstance(request_input, str):
        return [MessageItem(role="user", content=request_input)]
    return list(request_input)


def to_messages(items: Iterable[InputItem]) -> list[ChatMessage]:
    """Convert items to messages; adjacent items of the assistant are one message with text and media in order."""
    turns = [item for item in items if isinstance(item, MessageItem | GeneratedMediumItem)]
    messages = []
    for is_answer, group in groupby(turns, key=lambda item: item.role == "assistant"):
        if is_answer:
            parts = [part for item in group for part in item.to_chat()]
            messages.append(ChatMessage(role="assistant", parts=parts))
        else:
            messages += [ChatMessage(role=item.role, content=item.to_chat()) for item in group]
    return messages


def _media_part(modality: str, reference: str) -> MediaPart:
    if modality == "image":
        return ImagePart(type="image_url", image_url=reference)
    if modality == "audio":
        return AudioUrlPart(type="audio_url", audio_url=reference)
    return VideoPart(type="video_url", video_url=reference)
