"""A site of django-scim2 as its documentation makes one: a user of Django with the columns of SCIM."""
