"""Where texts are not translatable yet, and texts that are not to be translated. Take a file out when it is done."""

TEMPLATES: frozenset[str] = frozenset()
"""Templates that still have text outside of `translate` and `blocktranslate`."""

MODULES: frozenset[str] = frozenset()
"""Modules that still have texts for pages or commands without gettext."""

EXCEPTIONS = {
    "Musterbook": "the name of the product",
    "CSV": "the name of a format",
    "Excel": "the name of a program",
    "PDF": "the name of a format",
    "JSON": "the name of a format",
    "UTC": "the name of a time zone",
}
"""Words that are the same in every language, with the reason."""

FINISHED: tuple[str, ...] = ("musterbook/",)
"""The beginnings of the paths whose texts every catalog has complete."""
