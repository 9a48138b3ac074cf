"""The kinds of objects that pictures and clips can show, with what is known about each.

One row a kind. The names are the words of captions; they never change once a model was trained on them.
"""

from __future__ import annotations

from dataclasses import dataclass

from nextgpt.miniworld.scene import TINTS

CATEGORIES = ("animal", "food", "vehicle", "instrument", "thing", "nature", "shape")


@dataclass(frozen=True)
class Kind:
    """One kind of object."""

    name: str
    emoji: str
    """The character that Noto Color Emoji draws; empty for shapes, which are drawn by formula."""
    category: str
    color: str | None = None
    """Its own colour where it has one that is also a tint: it is not tinted in that colour, being so already."""
    sound: str | None = None
    """The source of sound that it makes, where the small world can play it."""
    synonyms: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    """Short true sentences."""

    @property
    def tints(self) -> tuple[str, ...]:
        """The tints that it is shown in."""
        return tuple(tint for tint in TINTS if tint != self.color)


_KINDS = (
    Kind("dog", "🐶", "animal"),
    Kind("cat", "🐱", "animal"),
    Kind("mouse", "🐭", "animal"),
    Kind("rabbit", "🐰", "animal"),
    Kind("bear", "🐻", "animal"),
    Kind("panda", "🐼", "animal"),
    Kind("frog", "🐸", "animal", color="green"),
    Kind("pig", "🐷", "animal", color="pink"),
    Kind("monkey", "🐵", "animal"),
    Kind("lion", "🦁", "animal"),
    Kind("cow", "🐮", "animal"),
    Kind("chicken", "🐔", "animal"),
    Kind("penguin", "🐧", "animal"),
    Kind("bird", "🐦", "animal", color="blue", sound="bird"),
    Kind("owl", "🦉", "animal"),
    Kind("butterfly", "🦋", "animal"),
    Kind("snail", "🐌", "animal"),
    Kind("bee", "🐝", "animal"),
    Kind("ladybug", "🐞", "animal"),
    Kind("turtle", "🐢", "animal", color="green"),
    Kind("snake", "🐍", "animal", color="green"),
    Kind("octopus", "🐙", "animal"),
    Kind("crab", "🦀", "animal", color="red"),
    Kind("fish", "🐠", "animal"),
    Kind("dolphin", "🐬", "animal", color="blue"),
    Kind("whale", "🐳", "animal", color="blue"),
    Kind("elephant", "🐘", "animal"),
    Kind("horse", "🐴", "animal"),
    Kind("camel", "🐪", "animal"),
    Kind("giraffe", "🦒", "animal"),
    Kind("crocodile", "🐊", "animal", color="green"),
    Kind("spider", "🕷", "animal"),
    Kind("shark", "🦈", "animal"),
    Kind("apple", "🍎", "food", color="red"),
    Kind("banana", "🍌", "food", color="yellow"),
    Kind("grapes", "🍇", "food", color="purple"),
    Kind("strawberry", "🍓", "food", color="red"),
    Kind("watermelon", "🍉", "food"),
    Kind("pineapple", "🍍", "food"),
    Kind("cherries", "🍒", "food", color="red"),
    Kind("lemon", "🍋", "food", color="yellow"),
    Kind("carrot", "🥕", "food", color="orange"),
    Kind("corn", "🌽", "food"),
    Kind("mushroom", "🍄", "food"),
    Kind("bread", "🍞", "food"),
    Kind("cheese", "🧀", "food", color="yellow"),
    Kind("egg", "🍳", "food"),
    Kind("pizza", "🍕", "food"),
    Kind("hamburger", "🍔", "food"),
    Kind("french fries", "🍟", "food"),
    Kind("ice cream", "🍦", "food"),
    Kind("donut", "🍩", "food"),
    Kind("cookie", "🍪", "food"),
    Kind("cake", "🎂", "food"),
    Kind("candy", "🍬", "food"),
    Kind("avocado", "🥑", "food", color="green"),
    Kind("broccoli", "🥦", "food", color="green"),
    Kind("car", "🚗", "vehicle", color="red"),
    Kind("bus", "🚌", "vehicle"),
    Kind("truck", "🚚", "vehicle"),
    Kind("bicycle", "🚲", "vehicle"),
    Kind("train", "🚂", "vehicle"),
    Kind("airplane", "✈", "vehicle"),
    Kind("helicopter", "🚁", "vehicle", color="yellow", sound="helicopter"),
    Kind("rocket", "🚀", "vehicle"),
    Kind("sailboat", "⛵", "vehicle"),
    Kind("ship", "🚢", "vehicle"),
    Kind("tractor", "🚜", "vehicle"),
    Kind("motorcycle", "🏍", "vehicle", color="red"),
    Kind("flying saucer", "🛸", "vehicle"),
    Kind("piano", "🎹", "instrument", sound="piano"),
    Kind("guitar", "🎸", "instrument", color="red", sound="guitar"),
    Kind("violin", "🎻", "instrument", sound="violin"),
    Kind("trumpet", "🎺", "instrument", color="yellow", sound="trumpet"),
    Kind("saxophone", "🎷", "instrument", color="yellow", sound="saxophone"),
    Kind("drum", "🥁", "instrument", color="red", sound="drum"),
    Kind("bell", "🔔", "instrument", color="yellow", sound="bell"),
    Kind("accordion", "🪗", "instrument", color="red", sound="accordion"),
    Kind("banjo", "🪕", "instrument", sound="banjo"),
    Kind("flute", "🪈", "instrument", sound="flute"),
    Kind("clock", "⏰", "thing", color="red"),
    Kind("telephone", "☎", "thing", color="red", sound="telephone"),
    Kind("camera", "📷", "thing"),
    Kind("book", "📕", "thing", color="red"),
    Kind("key", "🔑", "thing", color="yellow"),
    Kind("umbrella", "☂", "thing", color="purple"),
    Kind("light bulb", "💡", "thing", color="yellow"),
    Kind("scissors", "✂", "thing"),
    Kind("hammer", "🔨", "thing"),
    Kind("chair", "🪑", "thing"),
    Kind("hat", "🎩", "thing"),
    Kind("crown", "👑", "thing", color="yellow"),
    Kind("shoe", "👟", "thing", color="blue"),
    Kind("glasses", "👓", "thing"),
    Kind("balloon", "🎈", "thing", color="red"),
    Kind("gift", "🎁", "thing"),
    Kind("soccer ball", "⚽", "thing"),
    Kind("basketball", "🏀", "thing", color="orange"),
    Kind("trophy", "🏆", "thing", color="yellow"),
    Kind("magnet", "🧲", "thing", color="red"),
    Kind("candle", "🕯", "thing"),
    Kind("robot", "🤖", "thing"),
    Kind("ghost", "👻", "thing"),
    Kind("house", "🏠", "thing"),
    Kind("tent", "⛺", "thing", color="orange"),
    Kind("envelope", "✉", "thing"),
    Kind("backpack", "🎒", "thing", color="red"),
    Kind("ring", "💍", "thing"),
    Kind("lock", "🔒", "thing"),
    Kind("pencil", "✏", "thing"),
    Kind("television", "📺", "thing"),
    Kind("cup", "☕", "thing"),
    Kind("tree", "🌳", "nature", color="green"),
    Kind("palm tree", "🌴", "nature", color="green"),
    Kind("cactus", "🌵", "nature", color="green"),
    Kind("tulip", "🌷", "nature", color="pink"),
    Kind("sunflower", "🌻", "nature"),
    Kind("maple leaf", "🍁", "nature", color="red"),
    Kind("sun", "☀", "nature", color="yellow"),
    Kind("moon", "🌙", "nature", color="yellow"),
    Kind("cloud", "☁", "nature"),
    Kind("snowman", "⛄", "nature"),
    Kind("snowflake", "❄", "nature", color="blue"),
    Kind("fire", "🔥", "nature", color="orange"),
    Kind("rainbow", "🌈", "nature"),
    Kind("lightning", "⚡", "nature", color="yellow"),
    Kind("mountain", "⛰", "nature"),
    Kind("water drop", "💧", "nature", color="blue"),
    Kind("circle", "", "shape"),
    Kind("square", "", "shape"),
    Kind("triangle", "", "shape"),
    Kind("star", "", "shape"),
    Kind("diamond", "", "shape"),
    Kind("heart", "", "shape"),
)

OBJECTS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}
"""All kinds by name, in a fixed order."""
