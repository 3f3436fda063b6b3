"""The options of an import, and their form in its record."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from musterbook.core.domain.columns import LAYOUTS, REKEYS, USERS, Layout
from musterbook.core.domain.decisions import Decisions
from musterbook.core.domain.file_values import Defaults, Meanings
from musterbook.core.domain.policy import Confirmed, LimitKind, Mode
from musterbook.core.reading.corrections import Corrections
from musterbook.directory import models

_CORRECTIONS_KEY = "mended"
"""The key of the corrections in the stored options of an import."""


_ONLY_IF_GIVEN = (
    "values", "defaults", "source", "accepted", "decided", "header_row", "expect_rows", "release_badges", "approves",
    "exact", "what", "provisioned",
)  # fmt: skip
"""The options that are stored only if they are given, so that those of older imports stay as they are."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of an import.

    `mails`: None for the agency's setting. `confirmed`: what the operator confirmed, by kind, each with its number
    (S4). `corrections`: cells that replace cells of the file (A3). `values`: the file's own values (F13). `defaults`:
    the values of new users in columns that the file does not have (F14).
    `accepted`, `decided`: the decisions on rows that are errors otherwise, for all rows, and by row (`Decisions`; the row
    is text).
    """

    mode: Mode = Mode.UPDATE
    preview: bool = False
    strict: bool = False
    confirmed: Confirmed = field(default_factory=dict)
    mails: bool | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    corrections: Corrections = field(default_factory=dict)
    values: Meanings = field(default_factory=dict)
    defaults: Defaults = field(default_factory=dict)
    source: str = ""
    """The source that the file comes from (S9), as `clean_source` returns it; "" for none."""
    accepted: Mapping[str, str] = field(default_factory=dict)
    decided: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    header_row: int | None = None
    """The row that has the headings (F12); None to find it."""
    expect_rows: int | None = None
    """The number of data rows that the file must have (F11); None for any."""
    release_badges: bool | None = None
    """Whether badges of Inactive users can be taken (M13), None for the agency's setting."""
    approves: bool = False
    """Whether it applies what another user has requested and could not confirm (S8)."""
    exact: bool = False
    """Whether a program has sent the rows as values (`imports.sent_rows`): each row is a user, and each cell its value."""

    what: str = ""
    """The layout of a file of groups, members, roles or ranks (columns.ENTRIES), "" for a file of users."""
    provisioned: Sequence[Mapping[str, Any]] = ()
    """What an identity provider has said of the user of each row of a held import (`imports.provisioned_values`)."""

    @property
    def layout(self) -> Layout:
        """Return the columns that the file has."""
        if self.what:
            return LAYOUTS[self.what]
        return REKEYS if self.mode is Mode.REKEY else USERS

    def as_json(self) -> dict[str, object]:
        """Return the options as they are stored with the import."""
        values: dict[str, object] = {**asdict(self), "mode": self.mode.value, "mapping": dict(self.mapping)}
        values["confirmed"] = dict(self.confirmed)
        corrections = values.pop("corrections")
        if corrections:
            values[_CORRECTIONS_KEY] = corrections
        usual = Options()
        return {
            name: value for name, value in values.items() if name not in _ONLY_IF_GIVEN or value != getattr(usual, name)
        }

    def make_decisions(self, agency: models.Agency) -> Decisions:
        """Return the decisions of the operator, and those that the agency has made for all."""
        by_row = {int(row): choices for row, choices in self.decided.items()}
        releases = agency.release_badges if self.release_badges is None else self.release_badges
        return Decisions(self.accepted, by_row, releases)

    @classmethod
    def of_json(cls, data: Mapping[str, object]) -> "Options":
        """Return the options from the JSON of `as_json`. Keys that are not options of a file import are ignored."""
        named = {"corrections" if key == _CORRECTIONS_KEY else key: value for key, value in data.items()}
        known = {name: value for name, value in named.items() if name in cls.__dataclass_fields__}
        if not isinstance(known.get("confirmed"), dict):  # an earlier version: a number of deactivations, or None
            number = known.pop("confirmed", None)
            known["confirmed"] = {} if number is None else {LimitKind.DEACTIVATIONS.value: number}
        return cls(**{**known, "mode": Mode(str(data["mode"]))})  # type: ignore[arg-type]  # JSON that as_json wrote
