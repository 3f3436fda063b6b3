"""How to name the headings of a refused file on the command line (F4, F12)."""

import shlex

from musterbook.cli.language import gettext as _
from musterbook.core.planning.plan import Plan
from musterbook.core.values.text import TRIMMED


def describe_mapping(plan: Plan) -> str:
    """Return how to map the headings of a refused file and how to choose its header row; "" if neither is needed."""
    codes = {problem.code for problem in plan.refusals}
    file = plan.table.file
    options = []
    if "headings-elsewhere" in codes and file.header_row > 1:
        options.append(f"--header-row {file.header_row}")
    if "missing-column" in codes:
        pairs = [f"{heading.strip(TRIMMED)}={column}" for heading, column in file.suggested.items()]
        options += [f"--map {shlex.quote(pair)}" for pair in pairs or ["Heading=COLUMN"]]
    if not options:
        return ""
    return _("Headings can be mapped to columns. Repeat the command with: %(options)s") % {"options": " ".join(options)}
