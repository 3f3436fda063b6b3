"""The labels that pages and the command line share."""

import pytest

from musterbook.core.domain.labels import CHANNELS, capitalize_label, format_state_title


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("waiting", "Waiting for its turn"),
        ("previewed", "Preview: nothing has changed yet"),
        ("held", "On hold: nothing has changed"),
        ("applied", "Applied"),
    ],
)
def test_the_title_of_a_state_says_whether_something_was_changed(code: str, title: str) -> None:
    assert format_state_title(code) == title
    assert format_state_title(code, ", ") == title.replace(":", ",")


def test_a_label_at_the_beginning_of_a_line_keeps_its_acronyms() -> None:
    assert [capitalize_label(CHANNELS[code]) for code in ("page", "api", "scim")] == ["A web page", "The API", "SCIM"]
