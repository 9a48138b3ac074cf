"""Words for what the small world does not hold. Those kept for tests occur in no training."""

from __future__ import annotations

from nextgpt.miniworld.language.phrasing import Phrasings

# fmt: off
THINGS = Phrasings(
    (
        "dinosaur", "dragon", "unicorn", "castle", "bridge", "wolf", "fox", "tiger", "zebra", "goat", "sheep",
        "duck", "swan", "eagle", "parrot", "kangaroo", "koala", "squirrel", "hedgehog", "beaver", "seal",
        "lobster", "jellyfish", "ant", "mosquito", "worm", "pear", "peach", "plum", "kiwi", "coconut", "potato",
        "onion", "tomato", "pumpkin", "sandwich", "pancake", "sausage", "taxi", "ambulance", "tank",
        "submarine", "scooter", "skateboard", "canoe", "van", "spoon", "fork", "knife", "plate", "bottle",
        "table", "sofa", "bed", "window", "door", "mirror", "shirt", "dress", "sock", "glove", "scarf", "belt",
        "coat", "computer", "laptop", "printer", "radio", "microphone", "church", "tower", "school", "hospital",
        "factory", "lighthouse", "river", "lake", "beach", "volcano", "forest", "island", "waterfall", "planet",
        "comet", "rose", "daisy", "fern", "bush", "queen", "pirate", "wizard", "witch", "fairy", "mermaid",
        "knight", "clown", "dancer", "doctor", "teacher", "baby", "man", "woman", "child", "face", "hand",
        "foot", "nose", "eye", "cube", "pyramid", "hexagon", "spiral", "arrow", "flag", "map", "coin", "puzzle",
        "kite", "swing", "sword", "shield", "rope", "ladder", "bucket", "broom", "shovel", "saw", "screwdriver",
        "needle", "button", "tie", "wallet", "suitcase", "passport", "newspaper", "calendar",
    ),
    held_out=(
        "rhino", "panther", "moose", "deer", "lizard", "hamster", "flamingo", "ostrich", "cucumber", "garlic",
        "noodle", "ferry", "wagon", "tram", "pillow", "blanket", "carpet", "curtain", "drawer", "toaster",
        "fridge", "temple", "palace", "windmill", "glacier", "orchid", "vampire", "soldier", "sphere",
        "compass", "lantern", "jacket",
    ),
)
SOUND_MAKERS = Phrasings(
    (
        "tuba", "trombone", "oboe", "bassoon", "ukulele", "lute", "mandolin", "gong", "cymbal", "tambourine",
        "kazoo", "synthesizer", "siren", "whistle", "engine", "motor", "storm", "waterfall", "crowd", "baby",
        "wolf", "duck", "donkey", "sheep", "tiger",
    ),
    held_out=("bongo", "marimba", "theremin", "fanfare", "vacuum cleaner", "doorbell", "panther", "hamster"),
)
WORDS = Phrasings(
    (
        "please", "tomorrow", "water", "friend", "world", "thanks", "sorry", "monday", "seven", "coffee",
        "table", "window", "summer",
    ),
    held_out=("winter", "sunday", "bicycle", "nine", "nothing"),
)
MOTIONS = Phrasings(
    (
        "dancing", "swimming", "flying", "sleeping", "running", "walking", "singing", "eating", "exploding",
        "melting", "laughing", "reading", "cooking", "fighting", "drinking", "talking", "burning",
    ),
    held_out=("skating", "crying", "climbing", "diving", "sneezing"),
)
COLORS = Phrasings(
    ("brown", "black", "silver", "golden", "turquoise", "beige", "white", "gray"),
    held_out=("crimson", "olive", "bronze", "cyan"),
)
BACKGROUNDS = Phrasings(
    (
        "in the desert",
        "in the forest",
        "in the city",
        "in space",
        "in the snow",
        "on a street",
        "in a kitchen",
        "under water",
        "in a room",
        "on a red background",
        "on a purple background",
        "on an orange background",
        "on a black background",
        "on a brown background",
    ),
    held_out=("in a garden", "on the beach", "in a cave", "in the jungle", "on a silver background"),
)
QUESTIONS = Phrasings(
    (
        "who won the [world cup|election|race|game]?",
        "what is the capital of [France|Japan|Brazil|Kenya|Canada]?",
        "what time is it?",
        "what day is [it|today]?",
        "how is the weather[ today|]?",
        "what is [12 times 7|3 plus 4|100 minus 1|8 divided by 2]?",
        "write a [poem|story|letter|program][ for me|].",
        "tell me [the news|a joke|a story].",
        "who is the [president|king|chancellor] of [France|Spain|England]?",
        "how many people live in [China|Berlin|Africa]?",
        "translate this into [German|French|Spanish].",
        "when was [Mozart|Einstein|Napoleon] born?",
        "who [wrote|painted|invented] [Hamlet|the telephone book|the Mona Lisa|the internet]?",
        "how far is [the moon|Paris|the next star]?",
        "can you [book a flight|order a pizza|call my mother|send a mail]?",
        "what should I [eat|wear|buy] today?",
        "how do I [cook rice|fix my car|learn to swim]?",
        "what is [love|the meaning of life|a black hole|money|democracy]?",
        "where is [my phone|New York|the next station]?",
        "why is the sky blue?",
        "how old is [the earth|the universe|the queen]?",
        "explain [gravity|chess|the war|evolution] to me.",
        "which [film|book|song] do you like[ best|]?",
        "solve this [equation|riddle|problem].",
        "search the internet for [shoes|news|a hotel].",
    ),
    held_out=(
        "who discovered America?",
        "what is the capital of [Italy|Peru]?",
        "what is 5 times 9?",
        "how tall is the Eiffel tower?",
        "when did the war end?",
        "write an essay about history.",
        "who is the richest man in the world?",
        "how many stars are in the galaxy?",
        "explain quantum physics.",
        "how do I bake a cake?",
        "what is the price of gold?",
        "translate this into Italian.",
        "who sang that song?",
        "where can I buy a car?",
    ),
)
_ONSETS = (
    "b", "bl", "d", "dr", "f", "fl", "g", "gr", "k", "kl", "m", "n", "p", "qu", "s", "sk", "t", "tr", "v", "w",
    "z", "",
)
_VOWELS = ("a", "e", "i", "o", "u", "ee", "oo")
_CODAS = ("", "b", "ck", "ff", "g", "l", "m", "n", "p", "r", "rt", "sh", "t", "x", "zz")
SYLLABLE_PARTS = (_ONSETS, _VOWELS, _CODAS)
"""What invented words are made of: whatever a model has never heard is outside, not only what a list names."""
