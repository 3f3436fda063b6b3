"""The icons of the pages, by their names in the design system. scripts/assets.py puts them into one small sprite.

To use another icon, add its name here and run `./test` or `./run`, which make the sprite again.
"""

SPRITE = "uswds/img/icons.svg"
"""The address of the sprite below the address of all assets."""

NAMES = frozenset(
    {
        "add",
        "autorenew",
        "check_circle",
        "do_not_disturb",
        "edit",
        "error",
        "file_download",
        "file_upload",
        "help_outline",
        "hourglass_empty",
        "info",
        "lock",
        "logout",
        "mail_outline",
        "menu",
        "notifications",
        "person",
        "schedule",
        "undo",
        "visibility",
        "warning",
    }
)
"""Every icon in the sprite."""
