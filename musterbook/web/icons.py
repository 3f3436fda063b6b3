"""The icons of the pages, by their names in the design system. scripts/assets.py puts them into one small sprite.

To use another icon, add its name here and run `./test` or `./run`, which make the sprite again.
"""

SPRITE = "uswds/img/icons.svg"
"""The address of the sprite below the address of all assets."""

NAMES = frozenset(
    {
        "add",
        "arrow_back",
        "arrow_downward",
        "arrow_forward",
        "arrow_upward",
        "autorenew",
        "check",
        "check_circle",
        "close",
        "content_copy",
        "delete",
        "do_not_disturb",
        "edit",
        "error",
        "expand_less",
        "expand_more",
        "file_download",
        "file_upload",
        "filter_list",
        "group_add",
        "groups",
        "help_outline",
        "history",
        "hourglass_empty",
        "info",
        "link",
        "lock",
        "logout",
        "mail_outline",
        "menu",
        "military_tech",
        "navigate_before",
        "navigate_next",
        "notifications",
        "person",
        "print",
        "remove_circle",
        "schedule",
        "search",
        "security",
        "settings",
        "star",
        "undo",
        "update",
        "visibility",
        "warning",
    }
)
"""Every icon in the sprite."""
