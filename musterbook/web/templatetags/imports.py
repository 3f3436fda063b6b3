"""Template tags and filters for the problems of an import."""

from dataclasses import replace

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from musterbook.core.domain.problems import PAGE_RELEASE_ADVICE, RELEASE_ADVICE, Problem
from musterbook.web import help_pages
from musterbook.web.templatetags.muster import icon

register = template.Library()

_REMEDIES = {
    "looks-damaged": gettext_lazy("Fix the cell. If this value is right, keep it as written."),
    "identity-change": gettext_lazy(
        "Check the EXTERNAL_ID. Or say who it is: the same person, or another person. For another person, the sessions,"
        " password and second factors end, and the new person is invited."
    ),
    "plan-ended": gettext_lazy("See what was done. If it is not what you want, upload the file again."),
}
"""The remedies that name options of a command, as a page says them."""


@register.simple_tag
def explain_problem(code: str) -> SafeString:
    """Return the link to the explanation of a kind of problem."""
    label = format_lazy(gettext_lazy("About this problem ({code})"), code=code)
    return format_html(
        '<a class="m-explain" href="{}">{}</a>', help_pages.get_problem_address(code), icon("help_outline", str(label))
    )


@register.filter
def page_remedy(problem: Problem) -> str:
    """Return how to fix a problem on a page. A remedy of the command line names options, a page has buttons."""
    if problem.code in _REMEDIES:
        return str(_REMEDIES[problem.code])
    if problem.releasable:
        return replace(problem, hint=problem.hint.replace(RELEASE_ADVICE, PAGE_RELEASE_ADVICE)).remedy
    return problem.remedy
