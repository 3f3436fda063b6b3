"""The notice before sign-in in an agency file: several lines of plain text, or a problem that says what to write."""

import pytest

from musterbook.directory.agency import agency_file

HEAD = 'slug = "springfield"\nname = "Springfield"\n'


def test_a_notice_may_have_several_lines() -> None:
    parsed = agency_file.read_agency_file(
        f'{HEAD}sign_in_notice = """\nOfficial use only.  \nUse is recorded.\n"""'.encode()
    )
    assert parsed.notice == "Official use only.\nUse is recorded."
    assert agency_file.read_agency_file(HEAD.encode()).notice is None
    assert agency_file.read_agency_file(f'{HEAD}sign_in_notice = ""'.encode()).notice == ""


@pytest.mark.parametrize("wrong", ['"' + "x" * 4001 + '"', "7", '"a\\u0007b"'])
def test_a_notice_that_is_no_plain_text_or_too_long_is_a_problem(wrong: str) -> None:
    with pytest.raises(
        agency_file.InvalidAgencyFile, match="sign_in_notice: Write plain text of at most 4,000 characters"
    ):
        agency_file.read_agency_file(f"{HEAD}sign_in_notice = {wrong}".encode())
