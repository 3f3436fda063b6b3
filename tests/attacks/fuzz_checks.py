"""A check for schemathesis: a request with the form that the document describes is never refused for its form.

The library's own check wants each such request to be accepted. But a name may be taken, and a role may not exist: that is
422 too, with another code. This module is loaded by the process of schemathesis.
"""

from typing import Any

import schemathesis

OF_FORM = frozenset({"", "invalid-request", "invalid-json", "not-json", "unknown-parameter", "length-required"})
"""The codes that say that a request has the wrong form."""
REFUSED = frozenset({400, 411, 415, 422})


@schemathesis.check
def valid_form_is_not_refused(_context: Any, response: Any, case: Any) -> None:
    """Fail if a request of a valid form is refused for its form."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in REFUSED:
        return
    problem = response.json()
    assert problem.get("code", "") not in OF_FORM, f"A valid form was refused: {problem}"
