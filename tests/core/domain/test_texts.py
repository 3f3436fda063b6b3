"""Texts in the language of a reader: what is shown is translated, and what is stored or read by programs is English."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from musterbook.core.domain import labels, phrases, problems, texts
from musterbook.core.domain.problems import Problem


class Loud:
    """A language in which every text is in capital letters, and its parameters are as they were."""

    def gettext(self, message: str) -> str:
        """Return the text in capital letters."""
        return "".join(part if part.startswith("{") else part.upper() for part in re.split(r"({[^}]*})", message))

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """Return the form for the number in capital letters."""
        return self.gettext(singular if number == 1 else plural)


LOUD = Loud()


def test_a_problem_is_in_the_readers_language_and_its_values_are_as_in_the_file() -> None:
    problem = Problem.of("unknown-rank", 3, "RANK", "Sargent", suggestion="Did you mean Sergeant?")
    with texts.reading(LOUD):
        assert problem.message == "THERE IS NO RANK “Sargent”."
        assert problem.remedy == "USE ONE OF THE AGENCY'S RANKS. DID YOU MEAN Sergeant?"
        assert problem.as_json()["message"] == "There is no rank “Sargent”."
        assert problem.in_english() == (
            "There is no rank “Sargent”.",
            "Use one of the agency's ranks. Did you mean Sergeant?",
        )
        assert texts.get_language() is LOUD
    assert problem.message == "There is no rank “Sargent”." and texts.get_language() is texts.ENGLISH


def test_a_value_is_translated_if_it_is_words_of_ours_and_kept_if_a_file_has_it() -> None:
    place = Problem.of("headings-elsewhere", value="row 1", place="Rows 2, 5 have", advice="")
    rank = Problem.of("unknown-rank", 3, "RANK", "row 1", suggestion="")
    with texts.reading(LOUD):
        assert place.message == "ROWS 2, 5 HAVE THE REQUIRED HEADINGS. THEY WERE LOOKED FOR IN ROW 1."
        assert rank.message == "THERE IS NO RANK “row 1”."


@pytest.mark.parametrize("code", problems.CATALOG)
def test_every_problem_keeps_its_parameters_in_another_language(code: str) -> None:
    kind = problems.CATALOG[code]
    values = {name: f"«{name}»" for name in kind.params if name}
    problem = Problem.of(code, 1, "«column»", "«value»", **values)
    english = problem.in_english()
    with texts.reading(LOUD):
        shown = (problem.message, problem.remedy)
    assert [text.casefold() for text in shown] == [text.casefold() for text in english] and shown != english


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Did you mean Sergeant?", "DID YOU MEAN Sergeant?"),
        ("Did you mean Sergeant or Officer?", "DID YOU MEAN Sergeant OR Officer?"),
        ("its leading zeros were lost", "ITS LEADING ZEROS WERE LOST"),
        ("It has no @. It contains a space.", "IT HAS NO @. IT CONTAINS A SPACE."),
        ("1 new user gets", "1 NEW USER GETS"),
        ("1,250 new users get", "1,250 NEW USERS GET"),
        ("12, 15 and 3 more", "12, 15 AND 3 MORE"),
        ("a tab, after “Ann”", "A TAB, AFTER “Ann”"),
        ("a PDF", "A PDF"),
        ("blank", "BLANK"),
        ("Rows 2, 5 have", "ROWS 2, 5 HAVE"),
        ("Counts: added 3 → 4, x 1 → 2.", "COUNTS: ADDED 3 → 4, x 1 → 2."),
        ("Users: E-1 (added → not concerned), and 5 more.", "USERS: E-1 (ADDED → NOT CONCERNED), AND 5 MORE."),
        ("Ann Lee (E-1, Active)", "Ann Lee (E-1, ACTIVE)"),
        ("dana.dietz@example.org", "dana.dietz@example.org"),
        ("Ann blank", "Ann blank"),
        ("It is Ann. She has no @.", "It is Ann. She has no @."),
        ("", ""),
        ("x" * 501, "x" * 501),
        ("Did you mean {0.__class__} or {x!r}?", "DID YOU MEAN {0.__class__} OR {x!r}?"),
    ],
)
def test_a_parameter_is_translated_if_it_is_a_phrase_of_ours(text: str, shown: str) -> None:
    with texts.reading(LOUD):
        assert phrases.translate(text) == shown


@pytest.mark.parametrize("phrase", phrases.PHRASES)
def test_every_phrase_is_found_with_its_values(phrase: str) -> None:
    filled = re.sub(r"{(\w+)}", lambda hole: "7" if hole[1] in phrases._HOLES else f"«{hole[1]}»", phrase)
    with texts.reading(LOUD):
        assert phrases.translate(filled) == LOUD.gettext(filled) or "«" in filled
    assert phrases.translate(filled) == filled


def test_no_parameter_takes_long_to_read() -> None:
    for text in ("Did you mean " * 38, "a" * 500, "“" * 499 + "?", "Row 1 seems to have. " * 20, "a, after “" * 45):
        with texts.reading(LOUD):
            assert phrases.translate(text).casefold() == text.strip().casefold() or text.endswith(" ")


def test_labels_and_counts_are_in_the_readers_language() -> None:
    with texts.reading(LOUD):
        assert labels.CHANNELS["page"] == "A WEB PAGE" and labels.CHANNELS.get("none", "x") == "X"
        assert dict(labels.PLAN_ENDS.items())["expired"] == "EXPIRED" and "LEAVING" in labels.PROTECTIONS.values()
        assert labels.format_state_title("held") == "ON HOLD: NOTHING HAS CHANGED"
        assert labels.describe_protection("exempt", 3) == "EXEMPT FROM SYNCHRONIZE (ROW 3)"
        assert labels.describe_protection("leaving", None, "2026-03-01").startswith("LEAVING: BECOMES INACTIVE ON 2026")
        assert labels.count_emails({"invitation": 2, "reset": 1}) == "2 INVITATIONS, 1 LINK FOR A NEW PASSWORD"
    assert labels.count_emails({"invitation": 1, "later-kind": 2}) == "1 invitation, 2 later-kinds"
    assert labels.CHANNELS["page"] == "a web page" and labels.CHANNELS.sources[0] == "a web page"


_CORE = Path(problems.__file__).parents[1]
_STEPS = [
    path for step in ("reading", "checking", "planning", "values") for path in sorted((_CORE / step).rglob("*.py"))
]
_NO_PHRASES = {
    "reading/suggestions.py": "headings of other systems",
    "reading/csv/likely_encodings.py": "names of encodings",
    "checking/meanings.py": "values of other systems, and the note of mapped values, whose parts are values",
    "values/damaged_text.py": "patterns",
}
_EXCEPTIONS = {
    *(
        " and x more",
        ": did you mean x?",
        ": if this is the same person, write x.",
        "An import cannot change an external ID",
    ),
    *("x new userx", "a control character"),  # parts of phrases
    *("password reset", "special-use or reserved name", "known ids", "new ids"),  # compared, or names of columns
}


@pytest.mark.parametrize("path", _STEPS, ids=lambda path: path.relative_to(_CORE).as_posix())
def test_every_phrase_that_a_step_puts_into_a_problem_is_known(path: Path) -> None:
    """If this fails: add the text to `phrases.PHRASES`, or here, with the reason why nobody reads it."""
    if path.relative_to(_CORE).as_posix() in _NO_PHRASES:
        return
    found = [text for text in _list_phrases(ast.parse(path.read_text(encoding="utf-8"))) if text not in _EXCEPTIONS]
    with texts.reading(LOUD):
        assert [text for text in found if not any(map(_is_phrase, (text, text.replace("x", "7"))))] == []


def _is_phrase(text: str) -> bool:
    return phrases.translate(text) != text


def _list_phrases(tree: ast.AST) -> Iterator[str]:
    """Yield the texts of at least two words, with x in place of each value."""
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inner = {id(part) for node in joined for part in ast.walk(node)}
    inner |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    plain = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in inner]
    found = [node.value.replace("{}", "x") for node in plain if isinstance(node.value, str)]
    found += [
        "".join(str(getattr(part, "value", "x")) if isinstance(part, ast.Constant) else "x" for part in node.values)
        for node in joined
    ]
    for text in found:
        if re.search(r"[a-z]{2,} [a-z]{2,}", text) and not re.search(r"[\\^*|\[]", text):
            yield text
