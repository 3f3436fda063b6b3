"""The URLs of the installation itself. Those of an agency, under /<agency>/, are in `web.urls`."""

from django.urls import path

from musterbook.api import problems
from musterbook.web import home, probes

handler500 = "musterbook.web.errors.failed"
urlpatterns = [
    path("", home.agencies, name="agencies"),
    path("readyz", probes.show_readiness, name="readiness"),
    path("metrics", probes.show_metrics, name="metrics"),
    # The API of an agency that does not exist.
    path("<str:agency>/api/<path:rest>", problems.not_found),
]
