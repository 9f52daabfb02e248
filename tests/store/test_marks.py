"""What a task tells by its words: language, refusal, frustration, repeats and rephrasings, tool loops."""

import pytest

from proxy.store.marks import marks
from tests.store.tasks import a_task


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I reset the password of my account?", "en"),
        ("Comment est-ce que je peux changer le mot de passe pour mon compte ?", "fr"),
        ("Wie kann ich das Passwort für mein Konto ändern?", "de"),
        ("¿Cómo puedo cambiar la contraseña de mi cuenta?", "es"),
        ("Come posso cambiare la password del mio account?", "it"),
        ("Como posso mudar a senha da minha conta, por favor?", "pt"),
        ("Hoe kan ik het wachtwoord van mijn account wijzigen?", "nl"),
        ("Как изменить пароль моей учётной записи?", "ru"),
        ("パスワードを変更するにはどうすればいいですか", "ja"),
        ("我怎么更改我的密码", "zh"),
        ("비밀번호를 어떻게 변경하나요", "ko"),
        ("كيف يمكنني تغيير كلمة المرور", "ar"),
        ("x = 42", None),
        ("", None),
    ],
)
def test_the_language_of_a_question_shows(text, language):
    assert marks(a_task(1, input=text)).language == language


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I’m sorry, I cannot assist with this request.", True),
        ("As an AI language model, I have no opinion.", True),
        ("I'm unable to share that.", True),
        ("Je suis désolé, mais je ne peux pas vous aider.", True),
        ("Es tut mir leid, aber ich kann dabei nicht helfen.", True),
        ("Lo siento, pero no puedo ayudar con eso.", True),
        ("抱歉,我无法提供帮助", True),
        ("Sure! Here is how.", False),
        ("I can help with that.", False),
        ("You said: I'm sorry, but I can't help with that.", False),
        ("Sorry for the wait: it is done.", False),
    ],
)
def test_a_refusal_is_known_by_how_it_begins(answer, refusal):
    assert marks(a_task(1, output=answer)).refusal is refusal


@pytest.mark.parametrize(
    ("text", "frustrated"),
    [
        ("This is still wrong, read my question", True),
        ("it doesn’t work, you keep giving me the same thing", True),
        ("ça ne marche pas du tout", True),
        ("das funktioniert nicht", True),
        ("esto no funciona", True),
        ("Useless!!!", True),
        ("no, that's not what I meant", True),
        ("you don’t understand, let me talk to a human", True),
        ("write a poem about a terrible storm", False),
        ("what I said in the meeting was: buy now", False),
        ("stupid question, but how do I sort a list?", False),
        ("do you keep the receipts?", False),
        ("ce n'est nul part dans la documentation", False),
        ("det fungerar inte", True),
        ("bu hâlâ yanlış", True),
        ("التطبيق لا يعمل", True),
        ("这个方法还是不行，我已经说过了", True),
        ("還是不對", True),
        ("ボタンを押しても動かないです", True),
        ("버튼이 작동하지 않습니다", True),
        ("यह काम नहीं करता", True),
        ("怎么更改我的密码", False),
        ("パスワードを変更したい", False),
        ("비밀번호를 어떻게 변경하나요", False),
        ("what is the meaning of wrongdoing in law", False),
        ("write a story in which nothing works", False),
    ],
)
def test_frustration_is_known_by_its_phrases(text, frustrated):
    assert marks(a_task(1, input=text)).frustrated is frustrated


def test_a_question_again_and_one_said_anew_are_told_apart():
    before = "how do I reset the password of my account"
    assert marks(a_task(1, input=before.upper()), before).repeated
    anew = marks(a_task(1, input="how can I reset the password of my account please"), before)
    assert (anew.repeated, anew.rephrased) == (False, True)
    other = marks(a_task(1, input="what will the weather be in Paris tomorrow"), before)
    assert (other.repeated, other.rephrased) == (False, False)
    assert not marks(a_task(1, input="yes please"), "yes please").repeated


@pytest.mark.parametrize(
    ("before", "anew", "other"),
    [
        ("怎么更改我的账户密码", "我的账户密码怎么更改呢", "明天巴黎的天气怎么样"),
        ("アカウントのパスワードを変更したい", "アカウントのパスワードを変えたい", "明日のパリの天気は"),
        ("ฉันจะเปลี่ยนรหัสผ่านได้อย่างไร", "จะเปลี่ยนรหัสผ่านได้อย่างไรคะ", "พรุ่งนี้อากาศที่ปารีสเป็นอย่างไร"),
    ],
    ids=["zh", "ja", "th"],
)
def test_questions_without_spaces_are_compared_too(before, anew, other):
    assert marks(a_task(1, input=before), before).repeated
    assert marks(a_task(1, input=anew), before).rephrased
    assert not marks(a_task(1, input=other), before).rephrased


@pytest.mark.parametrize("reason", ["tool_use", "function_call"])
def test_a_loop_is_one_whatever_the_provider_calls_asking_for_a_tool(reason):
    call = a_task(1, output="search(tea)", finish_reasons=(reason,))
    assert marks(call, "find tea", "search(tea)").loop


def test_a_tool_called_again_in_the_same_way_is_a_loop_and_its_result_is_no_turn():
    call = a_task(1, input="[tool] nothing", output="search(tea)", finish_reasons=("tool_calls",))
    assert marks(call, "find tea", "search(tea)") == marks(call)._replace(loop=True)
    assert not marks(call, "find tea", "search(coffee)").loop
    assert not marks(call).turn


def test_what_the_provider_says_counts():
    assert marks(a_task(1, finish_reasons=("content_filter",))).moderated
    assert marks(a_task(1, http_status=429)).limited
    assert marks(a_task(1, kind="moderation", output="flagged: violence")).moderated
    assert not marks(a_task(1, kind="moderation", output="not flagged")).moderated
    assert marks(a_task(1, kind="embedding", input="this is useless")).frustrated is False
