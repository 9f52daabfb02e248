"""Pure: what the people of the demo say, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass

Line = tuple[str, str]
"""What is asked, what is answered."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool call inside a turn: it is asked for in one call, and its result sent along in the next."""

    name: str
    arguments: dict[str, object]
    result: str


@dataclass(frozen=True, slots=True)
class Story:
    """A conversation that an app has with many people; `{order}`, `{city}`, `{name}` are filled in."""

    app: str
    lines: tuple[Line, ...]
    tool: Tool | None = None  # used in the first turn
    language: str = "en"


SYSTEM = {
    "support": "You are the support assistant of Fjord Outdoor. Be brief and friendly. Look orders up before you answer. "
    "Never promise a refund: offer to open a ticket.",
    "docs": "Answer from the documents below only. Quote the section you used. If they do not say, say so.",
    "code": "You are a careful programmer working in the user's repository. Read before you write. Run the tests.",
    "translate": "Translate into the language asked for. Keep names, numbers and tone.",
    "research": "Find out what is asked, with sources. Think first, then search, then answer in a short brief.",
    "notes": "Summarise what you are given in plain words.",
}

STORIES = (
    Story(
        "support",
        (
            (
                "Hi, where is my order {order}? It was supposed to arrive on Monday.",
                "I found it: order **{order}** left our warehouse in Bergen on Saturday and is with the carrier in {city}. It should reach you **tomorrow before 14:00**. Sorry for the wait!",
            ),
            (
                "Can I still change the address?",
                "Not while it is out for delivery, I'm afraid. You can pick it up at the parcel shop instead: reply *pick-up* and I will arrange it.",
            ),
            ("pick-up please", "Done. You will get a code by SMS as soon as it is at the shop. Anything else?"),
            ("No, that's great, thank you!", "Glad to help. Enjoy the tent, {name}!"),
        ),
        Tool(
            "find_order",
            {"order_id": "{order}"},
            '{"order_id": "{order}", "status": "in_transit", "carrier": "Posten", "eta": "tomorrow 14:00"}',
        ),
    ),
    Story(
        "support",
        (
            (
                "The zip of my jacket broke after two weeks. What can I do?",
                "That should not happen, sorry! The *Storm 3* has a two-year warranty. You have two options:\n\n1. **Repair**: free, about 10 days\n2. **Replacement**: if your size is in stock\n\nWhich would you like?",
            ),
            (
                "Replacement, size M.",
                "Size M is in stock. I have opened ticket **FO-{ticket}**; the label to send the old one back is in your mail.",
            ),
        ),
    ),
    Story(
        "support",
        (
            (
                "I want my money back, this is the third time I ask!!",
                "I understand that this is frustrating, and I am sorry. I can not promise a refund myself, but I have opened ticket **FO-{ticket}** with your messages attached, marked *urgent*. A colleague answers within a day.",
            ),
            (
                "You said that last week. Nobody answered.",
                "You are right, and that is not good enough. I see ticket FO-{ticket} from last week is still open. I have added this conversation and moved it to the team lead.",
            ),
            (
                "This is useless. Let me talk to a human.",
                "Of course. Our lines are open until 18:00: **+47 55 12 80 00**. Mention FO-{ticket}, and you will not have to explain it again.",
            ),
        ),
    ),
    Story(
        "support",
        (
            (
                "Welche Schlafsäcke habt ihr für -10 Grad?",
                "Für **-10 °C** (Komfortbereich) passen diese drei:\n\n| Modell | Komfort | Gewicht | Preis |\n| --- | --- | --- | --- |\n| Nordlys 900 | -12 °C | 1,1 kg | 349 € |\n| Fjell Daune | -10 °C | 1,3 kg | 289 € |\n| Heia Synth | -11 °C | 1,9 kg | 179 € |\n\nDer *Nordlys* ist der leichteste, der *Heia* trocknet am schnellsten.",
            ),
            ("Gibt es den Nordlys auch in lang?", "Ja, bis 200 cm Körpergröße, in Blau und Oliv. Beide sind auf Lager."),
            ("Super, danke!", "Gern! Viel Spaß draußen."),
        ),
        None,
        "de",
    ),
    Story(
        "support",
        (
            (
                "Bonjour, ma commande {order} est arrivée avec un bâton cassé.",
                "Je suis désolé pour ce bâton ! Je vois bien la commande **{order}**. Pourriez-vous m'envoyer une photo ? Nous vous envoyons une nouvelle paire sans attendre le retour.",
            ),
            ("Voilà la photo, merci.", "Merci, c'est noté. La nouvelle paire part demain de Lyon ; vous n'avez rien à renvoyer."),
        ),
        None,
        "fr",
    ),
    Story(
        "support",
        (
            (
                "テントのポールだけ買えますか？",
                "はい、交換用ポールは単品でご購入いただけます。\n\n- **Lys 2**：3,200円\n- **Lys 3**：3,900円\n\nモデル名をお知らせいただければ、在庫を確認いたします。",
            ),
            ("Lys 2 です。", "在庫がございます。本日のご注文で、木曜日にお届けできます。"),
        ),
        None,
        "ja",
    ),
    Story(
        "docs",
        (
            (
                "How do I rotate the signing keys without downtime?",
                "From **§4.2 Key rotation**: add the new key beside the old one, wait until every node has fetched the key set (at most 10 minutes), then mark the new one `active`.\n\n```bash\nkeyctl add --kid 2026-11 --state standby\nkeyctl wait --all-nodes\nkeyctl promote 2026-11\n```\n\nThe old key stays valid for verification until you run `keyctl retire`.",
            ),
            (
                "And if a node missed it?",
                "§4.2 says that such a node answers `503` on `/ready` and leaves the pool by itself. Run `keyctl sync NODE`, then check `keyctl list --node NODE`.",
            ),
            (
                "What does the audit log keep of this?",
                "The documents I have do not say what the audit log keeps about key rotation. §7 describes the log, but only for sign-ins.",
            ),
        ),
    ),
    Story(
        "docs",
        (
            (
                "What's our travel policy for trains over 6 hours?",
                "**§2.3 Rail**: first class is allowed on trains of more than 4 hours. For night trains a private cabin can be booked when it is cheaper than a hotel and a flight.",
            ),
            ("Does that include taxis to the station?", "Yes: **§2.5** covers transfers up to 40 € each way, with a receipt."),
        ),
    ),
    Story(
        "docs",
        (
            (
                "Which regions support customer-managed keys?",
                "**§3.1** lists them:\n\n- `eu-north-1`, `eu-west-3`\n- `us-east-2`\n- `ap-southeast-2` *(preview)*\n\nOther regions use keys that the service manages.",
            ),
        ),
    ),
    Story(
        "code",
        (
            (
                "The test test_retry_backoff fails about once in twenty runs. Find out why.",
                "The test reads the wall clock twice, and between the two reads a retry may fire:\n\n```python\nstarted = time.time()\nclient.call()              # may retry here\nassert time.time() - started < 0.25\n```\n\nWhen the machine is busy the second read comes after the backoff. I suggest to hand the clock in:\n\n```python\nclock = FakeClock()\nclient = Client(now=clock.now, wait=clock.advance)\nclient.call()\nassert clock.now() == 0.2\n```\n\nThat makes it exact, and 200 ms faster. Shall I change all five tests that do this?",
            ),
            (
                "Yes, all five.",
                "Changed: `test_retry_backoff`, `test_retry_limit`, `test_retry_after`, `test_jitter` and `test_deadline`. I ran the file 200 times: **1,000 passed**, none failed. `Client` takes `now` and `wait` as keyword arguments; the defaults are what they were.",
            ),
            (
                "Nice. Write the commit message.",
                "```text\nHand the clock to the client's retries\n\nFive tests read the wall clock around a call that may wait. On a busy\nmachine the second read came after the backoff. The clock is now an\nargument, so the tests say what time it is.\n```",
            ),
        ),
        Tool(
            "read_file",
            {"path": "tests/test_client.py", "lines": "40-96"},
            "def test_retry_backoff():\n    started = time.time()\n    client.call()\n    assert time.time() - started < 0.25\n",
        ),
    ),
    Story(
        "code",
        (
            (
                "Explain this query plan: SCAN task USING INDEX task_kind",
                "SQLite walks the **whole** index `task_kind` in its order and looks each row up: `SCAN`, not `SEARCH`. You want `SEARCH task USING INDEX task_kind (kind=?)`.\n\nThe usual reason: the column is wrapped in an expression.\n\n```sql\nWHERE lower(kind) = 'chat'   -- scans\nWHERE kind = 'chat'          -- searches\n```",
            ),
            (
                "It was lower(), thanks.",
                "Good. If you need it case-insensitive, an index on the expression works too: `CREATE INDEX i ON task (lower(kind))`.",
            ),
        ),
    ),
    Story(
        "code",
        (
            (
                "Port utils/date.js to TypeScript and add types.",
                "Here it is. Two things came up while typing it:\n\n1. `parse()` returned `undefined` for an empty string but `null` for a bad one. I made both `null`.\n2. `addDays(date, '1')` worked by accident. The type now says `number`.\n\n```ts\nexport function parse(text: string): Date | null {\n  const at = Date.parse(text);\n  return Number.isNaN(at) ? null : new Date(at);\n}\n\nexport function addDays(date: Date, days: number): Date {\n  const later = new Date(date);\n  later.setDate(later.getDate() + days);\n  return later;\n}\n```",
            ),
        ),
        Tool(
            "read_file",
            {"path": "utils/date.js"},
            "export function parse(text) { if (!text) return undefined; const at = Date.parse(text); return isNaN(at) ? null : new Date(at) }",
        ),
    ),
    Story(
        "translate",
        (
            (
                "Into Spanish: Your parcel is waiting for you at the counter until Friday.",
                "Su paquete le espera en el mostrador hasta el viernes.",
            ),
        ),
        None,
        "es",
    ),
    Story(
        "translate",
        (("Into German: We have moved your appointment to 9:30.", "Wir haben Ihren Termin auf 9:30 Uhr verschoben."),),
        None,
        "de",
    ),
    Story(
        "translate",
        (("Into Portuguese: The warranty covers the frame, not the tyres.", "A garantia cobre o quadro, mas não os pneus."),),
        None,
        "pt",
    ),
    Story(
        "translate",
        (("Into Arabic: Welcome back, {name}. Your order is on its way.", "مرحبًا بعودتك يا {name}. طلبك في الطريق إليك."),),
        None,
        "ar",
    ),
    Story(
        "research",
        (
            (
                "What changed in the EU's battery rules this year, and does it matter for headlamps?",
                "**In short:** yes, from 2027. Portable batteries must be *removable and replaceable by the user* ([Regulation 2023/1542](https://eur-lex.europa.eu/eli/reg/2023/1542), Art. 11).\n\n- Headlamps with built-in cells need a door or a screw, not glue\n- Spare batteries must be sold for five years\n- Exceptions are for lamps *mainly used in water*\n\nYour models **Lux 2** and **Lux 4** are glued. *Lux 6* is fine.",
            ),
            (
                "How sure are you about the exception?",
                "Fairly: Art. 11(2)(a) names appliances *specifically designed to operate primarily in an environment that is regularly subject to splashing water, water streams or water immersion*. Rain alone does not make a headlamp one; I would ask counsel.",
            ),
        ),
        Tool(
            "web_search",
            {"query": "Regulation 2023/1542 Article 11 portable batteries removable exceptions"},
            '{"results": [{"title": "Regulation (EU) 2023/1542", "url": "https://eur-lex.europa.eu/eli/reg/2023/1542"}]}',
        ),
    ),
    Story(
        "notes",
        (
            (
                "Summarise the meeting notes of the product team, 24 November.",
                "- The **tent line** ships on 3 December; two colours wait for fabric\n- Returns fell to 4.1 %, zips are still the first reason\n- {name} looks into the headlamp batteries until Friday\n- No decision on the shop in {city}",
            ),
        ),
    ),
    Story(
        "notes",
        (
            (
                "Give this a title of at most six words: a customer asks whether a tent can stand on sand and wind",
                "Pitching a tent on windy sand",
            ),
        ),
    ),
)

NAMES = (
    "ada", "bjorn", "chidi", "dalia", "emeka", "freya", "gustav", "hanna", "ines", "jonas", "kenji", "lucia", "maren", "noor", "olga",
    "pavel", "quinn", "rosa", "sven", "tariq", "uma", "viktor", "wanda", "xenia", "yusuf", "zoe", "astrid", "bruno", "clara", "dmitri",
    "elif", "farid", "greta", "hugo", "iris", "jules", "katya", "leon", "mina", "nils",
)  # fmt: skip
CITIES = ("Oslo", "Hamburg", "Lyon", "Porto", "Gdańsk", "Utrecht", "Turin", "Malmö")
