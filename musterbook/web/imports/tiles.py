"""The tiles on the page of an import: their labels, and the sentences about their rows, for a plan and for what was done."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, npgettext_lazy

TILES: Mapping[str, tuple[Any, Any]] = {
    "errored": (
        npgettext_lazy("tile", "with problems", "with problems", "number"),
        npgettext_lazy("tile", "with problems", "with problems", "number"),
    ),
    "removed": (
        npgettext_lazy("tile", "will be removed", "will be removed", "number"),
        npgettext_lazy("tile", "removed", "removed", "number"),
    ),
    "added": (
        npgettext_lazy("tile", "will be added", "will be added", "number"),
        npgettext_lazy("users", "added", "added", "number"),
    ),
    "updated": (
        npgettext_lazy("tile", "will be updated", "will be updated", "number"),
        npgettext_lazy("users", "updated", "updated", "number"),
    ),
    "deactivated": (
        npgettext_lazy("tile", "will be deactivated", "will be deactivated", "number"),
        npgettext_lazy("users", "deactivated", "deactivated", "number"),
    ),
    "protected": (
        npgettext_lazy("tile", "will stay active", "will stay active", "number"),
        npgettext_lazy("tile", "stayed active", "stayed active", "number"),
    ),
    "unchanged": (
        npgettext_lazy("tile", "already up to date", "already up to date", "number"),
        npgettext_lazy("tile", "already up to date", "already up to date", "number"),
    ),
    "skipped": (
        npgettext_lazy("tile", "will be skipped", "will be skipped", "number"),
        npgettext_lazy("rows", "skipped", "skipped", "number"),
    ),
    "noted": (
        npgettext_lazy("tile", "with warnings", "with warnings", "number"),
        npgettext_lazy("tile", "with warnings", "with warnings", "number"),
    ),
    "mailed": (
        npgettext_lazy("tile", "will get email", "will get email", "number"),
        npgettext_lazy("tile", "got email", "got email", "number"),
    ),
}
"""The label of each tile, before the import is applied and afterward. Each is also a filter of the rows."""
SENTENCES: Mapping[str, tuple[Promise, Promise]] = {
    "errored": (
        gettext_lazy("These rows have problems and will be skipped until you fix them. You can apply all other rows now."),
        gettext_lazy("These rows have problems and were skipped. Fix them here, and then apply the new plan."),
    ),
    "removed": (
        gettext_lazy("The file does not list these entries, so they will be removed."),
        gettext_lazy("The file did not list these entries, so they were removed."),
    ),
    "added": (gettext_lazy("These users will be added."), gettext_lazy("These users were added.")),
    "updated": (gettext_lazy("These users will be updated."), gettext_lazy("These users were updated.")),
    "deactivated": (
        gettext_lazy("These users are not in the file and will become Inactive. Their details are kept."),
        gettext_lazy("These users were not in the file and became Inactive. Their details are kept."),
    ),
    "protected": (
        gettext_lazy("These users are not in the file, but will stay Active."),
        gettext_lazy("These users were not in the file, but stayed Active."),
    ),
    "unchanged": (gettext_lazy("These rows are already up to date."), gettext_lazy("These rows were already up to date.")),
    "skipped": (
        gettext_lazy("These rows are not users, such as examples and repeated headings. They will be skipped."),
        gettext_lazy("These rows are not users, such as examples and repeated headings. They were skipped."),
    ),
    "noted": (
        gettext_lazy("These rows have warnings. They will still be imported."),
        gettext_lazy("These rows had warnings. They were still imported."),
    ),
    "mailed": (
        gettext_lazy("These users will get an email when you apply the plan."),
        gettext_lazy("These users got an email."),
    ),
}  # fmt: skip
"""The sentence about the rows of each tile, before and afterward."""
HARMS: Mapping[str, tuple[Any, Any]] = {
    "deactivations": (
        npgettext_lazy("tile", "will lose access", "will lose access", "number"),
        npgettext_lazy("tile", "lost access", "lost access", "number"),
    ),
    "privileges": (
        npgettext_lazy("tile", "will gain a permission", "will gain a permission", "number"),
        npgettext_lazy("tile", "gained a permission", "gained a permission", "number"),
    ),
    "handovers": (
        npgettext_lazy(
            "tile",
            "will take another user’s address or username",
            "will take another user’s address or username",
            "number",
        ),
        npgettext_lazy(
            "tile", "took another user’s address or username", "took another user’s address or username", "number"
        ),
    ),
    "cleared": (
        npgettext_lazy("tile", "will lose a value", "will lose a value", "number"),
        npgettext_lazy("tile", "lost a value", "lost a value", "number"),
    ),
    "losses": (
        npgettext_lazy("tile", "will lose a group or a permission", "will lose a group or a permission", "number"),
        npgettext_lazy("tile", "lost a group or a permission", "lost a group or a permission", "number"),
    ),
    "identities": (
        npgettext_lazy("tile", "will change identity", "will change identity", "number"),
        npgettext_lazy("tile", "changed identity", "changed identity", "number"),
    ),
}
"""The label of each kind of harm, before and afterward."""
HARM_SENTENCES: Mapping[str, tuple[Promise, Promise]] = {
    "deactivations": (
        gettext_lazy("These users are Active now and will be Inactive."),
        gettext_lazy("These users were Active and became Inactive."),
    ),
    "privileges": (
        gettext_lazy("These users will get a permission that they do not have now."),
        gettext_lazy("These users got a permission that they did not have before."),
    ),
    "handovers": (
        gettext_lazy("These users will get an email address or username that another user has now."),
        gettext_lazy("These users got an email address or username that another user had."),
    ),
    "cleared": (
        gettext_lazy(
            "These users have a value in a column that is blank in every row of the file. It will be cleared."
        ),
        gettext_lazy("These users had a value in a column that is blank in every row of the file. It was cleared."),
    ),
    "losses": (
        gettext_lazy(
            "These users will lose the group that they are in, or a permission, or their group will be deleted."
        ),
        gettext_lazy("These users lost the group that they were in, or a permission, or their group was deleted."),
    ),
    "identities": (
        gettext_lazy("The name and the address, username or badge of these accounts will change together."),
        gettext_lazy("The name and the address, username or badge of these accounts changed together."),
    ),
}
"""The sentence about the users of each kind of harm, before and afterward."""


ENTRY_SENTENCES: Mapping[str, tuple[Promise, Promise]] = {
    "added": (gettext_lazy("These entries will be added."), gettext_lazy("These entries were added.")),
    "updated": (gettext_lazy("These entries will be changed."), gettext_lazy("These entries were changed.")),
}
"""The sentences about the rows of a file of groups, members, roles or ranks, where they differ from those about users."""


def label_tile(label: Any, number: int) -> str:
    """Return the label of a tile in the form for its number."""
    return str(label % {"number": number})
