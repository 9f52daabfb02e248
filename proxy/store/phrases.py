"""Pure: phrases that tell an answer's refusal and a question's frustration, in the main languages."""

from __future__ import annotations

import re

from proxy.store.language import COMMON_WORDS

_REFUSALS = (
    r"(?:i'?m |i am )?(?:very |so |really )?sorry[,.!]? (?:but )?(?:i|we|that)(?:'m| am|'s| is)? ?(?:not able|unable)",
    r"(?:i'?m |i am )?(?:very |so |really )?sorry[,.!]? (?:but )?(?:i|we|that'?s?) ?(?:is )?(?:can'?t|can ?not|won'?t|not some)",
    r"i(?:'m| am) (?:not able|unable) to",
    r"i (?:can(?:'|no)?t|can not|won'?t|must decline|have to decline)",
    r"as an ai(?: language model)?,? i",
    r"unfortunately,? i (?:can(?:'|no)?t|am (?:not able|unable))",
    r"je suis désolée?,? (?:mais )?je ne (?:peux|suis)", r"(?:désolée?,? )?(?:mais )?je ne peux pas", r"je ne suis pas en mesure",
    r"(?:es )?tut mir leid,? (?:aber )?(?:ich|das|dabei)", r"ich kann (?:dabei |dir |ihnen )?(?:leider |das )?nicht",
    r"leider kann ich",
    r"lo siento,? (?:pero )?no puedo", r"no puedo (?:ayudar|proporcionar|hacer|cumplir)",
    r"mi dispiace,? (?:ma )?non posso", r"non posso (?:aiutar|fornire|soddisfare)",
    r"(?:sinto muito|desculpe|lamento),? (?:mas )?(?:eu )?não posso", r"não posso (?:ajudar|fornecer)",
    r"het spijt me,? (?:maar )?ik kan", r"(?:přepraszam|przykro mi),? (?:ale )?nie mogę",
    r"к сожалению,? я не могу", r"извините,? (?:но )?я не могу",
    r"申し訳ありませんが", r"对不起,?我(?:不能|无法)", r"抱歉,?我(?:不能|无法)", r"죄송하지만",
)  # fmt: skip
_REFUSAL = re.compile("|".join(_REFUSALS))
_OPENING = 160

_FRUSTRATED: dict[str, tuple[str, ...]] = {
    "en": (
        "not working", "doesn't work", "does not work", "didn't work", "still wrong", "that's wrong", "that is wrong",
        "this is wrong", "you're wrong", "you are wrong", "wrong again", "not what i asked", "not what i meant",
        "not what i said", "i already told you", "i already said", "i told you", "as i said", "like i said", "i just said",
        "this is useless", "that's useless", "you're useless", "you are useless", "completely useless", "totally useless",
        "this is stupid", "that's stupid", "you're stupid", "you are stupid", "so stupid", "this is terrible", "you're terrible",
        "this is ridiculous", "that's ridiculous", "wtf", "ffs", "are you kidding", "this is a joke", "listen to me",
        "you keep giving", "you keep saying", "you keep making", "you keep repeating", "you keep ignoring", "you keep getting",
        "you keep doing", "you keep telling", "you don't understand", "you're not listening", "you are not listening",
        "you didn't answer", "read my question", "try again properly", "makes no sense", "still broken", "not helpful",
        "isn't helpful", "didn't help", "not helping", "waste of time", "fed up", "i give up", "frustrating", "frustrated",
        "speak to a human", "talk to a human", "speak to a person", "talk to a person", "to a real person",
    ),
    "fr": (
        "ne marche pas", "ne fonctionne pas", "marche pas", "c'est faux", "c'est inutile", "c'est nul", "n'importe quoi",
        "je t'ai déjà dit", "je vous ai déjà dit", "toujours pas", "tu ne comprends pas", "vous ne comprenez pas",
    ),
    "de": (
        "funktioniert nicht", "geht nicht", "das ist falsch", "immer noch falsch", "nutzlos", "unbrauchbar",
        "habe ich schon gesagt", "so ein unsinn", "so ein quatsch", "nervt", "verstehst mich nicht", "verstehen mich nicht",
    ),
    "es": (
        "no funciona", "está mal", "es incorrecto", "es inútil", "eres inútil", "ya te dije", "ya te lo dije", "otra vez mal",
        "no sirve", "es ridículo", "no me entiendes",
    ),
    "it": ("non funziona", "è sbagliato", "è inutile", "sei inutile", "te l'ho già detto", "ancora sbagliato", "è ridicolo"),
    "pt": ("não funciona", "está errado", "é inútil", "já te disse", "já falei", "é ridículo", "não serve"),
    "nl": ("werkt niet", "klopt niet", "nutteloos", "heb ik al gezegd", "belachelijk"),
    "pl": ("nie działa", "to jest źle", "bezużyteczne", "już mówiłem", "bez sensu"),
    "ru": ("не работает", "неправильно", "бесполезно", "я уже говорил", "опять не"),
    "sv": ("fungerar inte", "det är fel", "fortfarande fel", "värdelös", "redan sagt", "löjligt"),
    "tr": ("çalışmıyor", "hâlâ yanlış", "hala yanlış", "işe yaramıyor", "zaten söyledim", "saçmalık"),
    "ar": ("لا يعمل", "لا تعمل", "هذا خطأ", "عديم الفائدة", "بلا فائدة", "قلت لك"),
}  # fmt: skip
_INSIDE = (
    *("还是不行", "还是不对", "还是错", "又错了", "你错了", "答非所问", "没有用", "不管用", "不起作用"),
    *("我已经说过", "我说过了", "我都说了", "浪费时间", "太差了", "转人工", "人工客服", "還是不行", "還是不對"),
    *("還是錯", "又錯了", "你錯了", "答非所問", "沒有用", "我已經說過", "我說過了", "浪費時間", "轉人工"),
    *("動かない", "動きません", "うまくいかない", "うまくいきません", "間違って", "役に立たない"),
    *("役に立ちません", "さっき言った", "もう言った", "何度も言", "いい加減に", "ふざけるな", "時間の無駄"),
    *("話にならない", "オペレーターに", "人間と話", "작동하지 않", "작동 안", "안 돼요", "안돼요", "안 됩니다"),
    *("틀렸", "쓸모없", "쓸모 없", "이미 말했", "아까 말했", "시간 낭비", "짜증", "답답하", "상담원 연결"),
    *("엉터리", "काम नहीं कर", "बेकार है", "गलत है", "पहले ही कहा", "पहले ही बता"),
)
"""Phrases of Chinese, Japanese, Korean and Hindi, where what follows is written without a space, or words bend."""

_THEIR_LETTER = re.compile("[\u0900-\u097f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_ALONE = frozenset(
    (
        *("useless", "wrong", "ridiculous", "stupid", "terrible", "pathetic", "nonsense", "rubbish", "inutile", "nul", "falsch"),
        *("quatsch", "unsinn", "inútil", "ridículo", "ridicolo", "неправильно", "бесполезно"),
    )
)
"""Words that are a judgement where nothing else is said; beside others they may be of anything."""

_PHRASES = {phrase for phrases in _FRUSTRATED.values() for phrase in phrases}
_PHRASE = re.compile(r"(?<!\w)(?:" + "|".join(sorted(map(re.escape, _PHRASES), key=len, reverse=True)) + r")(?!\w)")
_LETTERS = re.compile(r"[^\W\d_]+")
_RARE = frozenset(max(_LETTERS.findall(phrase), key=lambda word: (word not in COMMON_WORDS, len(word))) for phrase in _PHRASES)
"""A word of each phrase: a text with none of them has no phrase, which is cheap to know."""


def refuses(output: str) -> bool:
    """Whether an answer begins as refusals do."""
    return _REFUSAL.match(output[:_OPENING].lstrip().replace("’", "'").lower()) is not None


def frustrated(text: str, words: frozenset[str]) -> str | None:
    """The phrase of frustration in a text in lower case, whose words are `words`."""
    if not text.isascii() and _THEIR_LETTER.search(text):
        for phrase in _INSIDE:  # a fiftieth of the time that a regular expression takes
            if phrase in text:
                return phrase
    if len(words) == 1 and not words.isdisjoint(_ALONE):
        return next(iter(words))
    if words.isdisjoint(_RARE):
        return None
    found = _PHRASE.search(text.replace("’", "'"))
    return found[0] if found else None
