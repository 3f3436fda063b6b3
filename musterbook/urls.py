"""Every address: those of the installation itself. Those of an agency, under /<agency>/, are in `web.urls`."""

from django.urls import path

from musterbook.web import installation

urlpatterns = [
    path("", installation.agencies, name="agencies"),
    path("health", installation.health, name="health"),
]
