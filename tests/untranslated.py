"""Where texts are not translatable yet, and texts that are not to be translated. Take a file out when it is done."""

TEMPLATES: frozenset[str] = frozenset(
    {
        "musterbook/web/templates/all_users_found.html",
        "musterbook/web/templates/import_gone.html",
        "musterbook/web/templates/import_progress.html",
        "musterbook/web/templates/import_rows.html",
        "musterbook/web/templates/import_running.html",
    }
)
"""Templates that still have text outside of `translate` and `blocktranslate`."""

MODULES: frozenset[str] = frozenset(
    {
        "musterbook/web/imports/actions.py",
        "musterbook/web/imports/forms.py",
        "musterbook/web/records/api_access.py",
        "musterbook/web/records/audit_pdf.py",
    }
)
"""Modules that still have texts for pages without gettext."""

EXCEPTIONS = {
    "Musterbook": "the name of the product",
    "CSV": "the name of a format",
    "PDF": "the name of a format",
    "JSON": "the name of a format",
    "UTC": "the name of a time zone",
}
"""Words that are the same in every language, with the reason."""

FINISHED: tuple[str, ...] = (
    "musterbook/accounts/mails.py",
    "musterbook/accounts/templates/mail/",
    "musterbook/web/readers.py",
    "musterbook/web/templates/me.html",
    "musterbook/web/times.py",
    "musterbook/web/accounts/my_account.py",
)
"""The beginnings of the paths whose texts every catalog has complete."""
