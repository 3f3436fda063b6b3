"""The users of the site."""

from typing import Any

from django.contrib.auth.models import AbstractUser
from django_scim.models import AbstractSCIMUserMixin


class ScimUser(AbstractSCIMUserMixin, AbstractUser):
    """A user of Django, with the columns that django-scim2 adds."""

    @property
    def scim_groups(self) -> Any:
        """Return the groups of the user."""
        return self.groups
