"""Small talk, and answers about the model itself. One table row per topic, always with the same answer."""

from __future__ import annotations

from dataclasses import dataclass

from nextgpt.miniworld.language.dialogue_state import DialogueState
from nextgpt.miniworld.language.lexicon import listed
from nextgpt.miniworld.language.templates import TemplateSet
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import BACKGROUNDS, MOTIONS, SOURCES, TINTS


@dataclass(frozen=True)
class Topic:
    """One topic: templates, answer and required phrase."""

    templates: TemplateSet
    answer: str
    key_phrase: str


GREETING = Topic(
    TemplateSet(
        (
            "hello[!|.|]",
            "hi[!|.| there|]",
            "good [morning|evening|day].",
            "hey[!|.|]",
            "hello, nano[!|.|]",
            "greetings[!|.]",
            "good [morning|evening|day], nano[!|.|]",
            "hello again[!|.|]",
            "hello my friend[!|.|]",
            "[hi|hey|hello] to you[!|.|]",
            "nice to [see|meet] you[!|.|]",
            "welcome[!|.|]",
        ),
        held_out=("hello there[!|.|]", "hi, nano[!|.|]", "hey there[!|.|]"),
    ),
    "Hello! What shall I draw or play for you?",
    "hello",
)
FAREWELL = Topic(
    TemplateSet(
        (
            "[bye|goodbye][!|.|]",
            "see you[ later|].",
            "that is all[, thank you|].",
            "good night[!|.|]",
            "I have to [go|leave|stop] now.",
            "[bye|goodbye], nano[!|.|]",
            "[bye|goodbye] for now[!|.|]",
            "goodbye and see you soon[!|.|]",
            "see you [soon|tomorrow|again][!|.|]",
            "I am going now[, bye|].",
            "[well|so], [bye|goodbye] then[!|.|]",
            "I must go, see you.",
            "I need to leave, goodbye.",
            "it is late, I have to sleep.",
        ),
        held_out=("bye bye[!|.|]", "goodbye, see you later.", "I have to go, bye."),
    ),
    "Goodbye! See you soon.",
    "goodbye",
)
THANKS = Topic(
    TemplateSet(
        (
            "thank you[!|.| very much.]",
            "thanks[!|.| a lot.]",
            "great, thanks.",
            "thank you, nano.",
            "many thanks.",
            "thank you so much[!|.|]",
            "[oh|nice|good|perfect|wonderful], thank you[!|.|]",
            "[oh|nice|good|perfect|beautiful], thanks[!|.|]",
            "thanks for [that|this|your help|the picture|the sound|the video][!|.|]",
            "thank you for [that|this|your help|everything][!|.|]",
            "I thank you[!|.|]",
            "thanks so much[, nano|][!|.|]",
            "a big thank you[!|.|]",
            "thank you, that [is|was] [great|nice|good][!|.|]",
        ),
        held_out=("thanks, nano[!|.|]", "great, thank you[!|.]", "thank you a lot."),
    ),
    "You are welcome.",
    "welcome",
)
PRAISE = Topic(
    TemplateSet(
        (
            "[very |]nice[!|.|]",
            "that is [beautiful|great|very good].",
            "well done[!|.|]",
            "I like [it|that].",
            "beautiful[!|.|]",
            "[good|great|perfect|wonderful|lovely|super][!|.|]",
            "[very|so|really] [beautiful|pretty|lovely|great][!|.|]",
            "[this|it] is [nice|beautiful|great|perfect|lovely|good][!|.|]",
            "I [really|] [love|like] [this|it|that] [a lot|so much][!|.|]",
            "I love [it|that|this][!|.|]",
            "I like how [it|that|this] [looks|sounds].",
            "[it|that|this] [looks|sounds] [good|great|nice|very nice][!|.|]",
            "good [work|job][!|.|]",
            "what a [nice|beautiful|lovely] [one|picture|sound|video][!|.|]",
            "you did [that|this|it] very well.",
        ),
        held_out=("that is nice[!|.|]", "I like that very much.", "very good[!|.|]"),
    ),
    "I am glad that you like it.",
    "glad",
)
TOPICS = (
    GREETING,
    FAREWELL,
    THANKS,
    PRAISE,
    Topic(
        TemplateSet(
            (
                "that is [wrong|not right].",
                "no, that is wrong.",
                "I do not like [it|that|this].",
                "this is [bad|wrong|not right].",
                "I think that is [wrong|not right].",
                "I do not think so.",
                "no, [not that|not this|it is not].",
                "[it|that] is not what I [wanted|want|asked for].",
                "[very |]bad[!|.|]",
                "I do not believe that.",
                "you are wrong.",
                "that looks wrong.",
            ),
            held_out=("I do not think that is right.", "no, this is wrong."),
        ),
        "I am sorry. Tell me what I shall change.",
        "sorry",
    ),
    Topic(
        TemplateSet(
            (
                "how are you[ today|]?",
                "are you [well|fine|good]?",
                "how do you feel[ today|]?",
                "how is it going[ today|]?",
                "how is your day?",
                "and how are you?",
                "is all well with you?",
                "are you doing [well|fine]?",
                "do you feel [good|fine]?",
            ),
            held_out=("how are you doing?", "do you feel well[ today|]?"),
        ),
        "I am fine, thank you.",
        "fine",
    ),
    Topic(
        TemplateSet(
            (
                "who are you?",
                "what are you?",
                "what is your name?",
                "tell me [about yourself|who you are].",
                "do you have a name?",
                "say who you are.",
                "I want to know [who you are|your name|what your name is].",
                "what do people call you?",
                "what is it that you are?",
                "who am I talking to?",
                "[can|could] you say your name?",
            ),
            held_out=("what name do you have?", "[can|could] you tell me who you are?", "tell me your name."),
        ),
        "I am nano, a small model for text, pictures, sounds and videos.",
        "nano",
    ),
    Topic(
        TemplateSet(
            (
                "what can you do[ for me|]?",
                "help[!|.|]",
                "how can you help me?",
                "what do you do?",
                "what should I ask you?",
                "[can|could] you help me?",
                "what can you do, nano?",
                "tell me [how you can help|what you do].",
                "what are you [good for|made for]?",
                "what can I do with you?",
                "how do I use you?",
                "what may I ask[ for|]?",
                "I want to know what you can do.",
            ),
            held_out=("tell me what you can do.", "what can I ask you?", "how can I use you?"),
        ),
        "I can draw pictures, play sounds, make videos, change them and answer questions about them.",
        "draw pictures",
    ),
    Topic(
        TemplateSet(
            (
                "who made you?",
                "who trained you?",
                "where do you come from?",
                "how were you made?",
                "who [built|created] you?",
                "how did you learn[ that| all this|]?",
                "what were you trained on?",
                "where were you [made|trained]?",
                "tell me how you were made.",
                "who was it that trained you?",
            ),
            held_out=("who made and trained you?", "how were you trained?"),
        ),
        "I was trained on a small world of pictures, sounds and videos.",
        "trained",
    ),
    Topic(
        TemplateSet(
            (
                "are you [human|a human|a person]?",
                "are you [real|alive]?",
                "am I talking to a [person|human]?",
                "are you a [machine|computer|robot|model] or a [person|human]?",
                "is there a [person|human] here?",
                "are you a living thing?",
                "do I talk to a real [person|human]?",
                "is this a [machine|computer]?",
                "you are a human, right?",
            ),
            held_out=("are you a real person?", "is this a human?"),
        ),
        "No, I am a small computer model.",
        "model",
    ),
    Topic(
        TemplateSet(
            (
                "do you speak [German|French|Spanish]?",
                "which languages do you speak?",
                "what languages do you know?",
                "do you know [German|French|Spanish]?",
                "can you [write|read|understand] [German|French|Spanish]?",
                "can we speak [German|French|Spanish]?",
                "which language [is this|do you speak]?",
                "in which languages can I [speak|write]?",
            ),
            held_out=("which languages do you know?", "can you speak [German|French]?"),
        ),
        "I only speak English.",
        "English",
    ),
    Topic(
        TemplateSet(
            (
                "what [things|objects] [do you know|can you draw]?",
                "how many [things|objects] [do you know|can you draw]?",
                "which pictures can you draw?",
                "which [things|objects] do you know?",
                "what can you draw[ for me|]?",
                "I want to know [what|which things] you can draw.",
                "tell me which [things|objects] you know.",
                "how many pictures can you draw?",
                "what kinds of things can you draw?",
            ),
            held_out=("which [things|objects] can you draw?", "tell me what you can draw."),
        ),
        f"I can draw {len(OBJECTS)} things, for example cat, piano and car.",
        str(len(OBJECTS)),
    ),
    Topic(
        TemplateSet(
            (
                "what [sounds|instruments] [do you know|can you play]?",
                "how many sounds [do you know|can you play]?",
                "which music can you play?",
                "which [sounds|instruments] do you know?",
                "what can you play[ for me|]?",
                "I want to know [what|which sounds] you can play.",
                "tell me which [sounds|instruments] you know.",
                "which instruments can you play?",
                "what kinds of sounds can you play?",
            ),
            held_out=("which sounds can you play?", "tell me what you can play."),
        ),
        f"I can play {len(SOURCES)} sounds, for example piano, bell and bird.",
        str(len(SOURCES)),
    ),
    Topic(
        TemplateSet(
            (
                "what motions [do you know|are there]?",
                "how many motions do you know?",
                "how can things move[ in a video|]?",
                "what can happen in a video?",
                "which motions are there?",
                "in which ways can things move?",
                "what can things do in a [video|clip]?",
                "name the motions.",
                "which ways of moving do you know?",
            ),
            held_out=("which motions do you know?", "what can happen in a clip?"),
        ),
        f"I know {len(MOTIONS)} motions, for example spinning, growing and moving left.",
        str(len(MOTIONS)),
    ),
    Topic(
        TemplateSet(
            (
                "what colo[|u]rs [do you know|are there]?",
                "which colo[|u]rs can you [paint|draw]?",
                "how many colors do you know?",
                "which colo[|u]rs are there?",
                "in which colors can you [paint|draw]?",
                "name your colors.",
                "what are your colors?",
            ),
            held_out=("which colo[|u]rs do you know?", "tell me what colors you know."),
        ),
        f"I know {listed(TINTS[1:])}.",
        listed(TINTS[1:]),
    ),
    Topic(
        TemplateSet(
            (
                "what backgrounds [do you know|are there]?",
                "which backgrounds can you [paint|draw]?",
                "how many backgrounds do you know?",
                "which backgrounds are there?",
                "on which backgrounds can you [paint|draw]?",
                "name your backgrounds.",
                "what are your backgrounds?",
            ),
            held_out=("which backgrounds do you know?", "tell me what backgrounds you know."),
        ),
        f"I know {listed(BACKGROUNDS)}.",
        listed(BACKGROUNDS),
    ),
)


def small_talk(state: DialogueState, topic: Topic | None = None) -> DialogueTurn:
    """Sample small talk about ``topic``; None means any."""
    topic = topic or state.choice(TOPICS)
    return DialogueTurn(
        "small_talk", (state.phrase(topic.templates),), (topic.answer,), ((topic.key_phrase,),)
    )
