"""The URLs of an agency's API, each below /<agency>/api/ (`settings.AGENCY_URLCONFS`)."""

from django.urls import path

from musterbook.api import feeds, openapi, rest

urlpatterns = [
    path("api/v1/feeds/<str:name>/file", feeds.file, name="api_feed_file"),
    path("api/v1/openapi.json", openapi.document, name="api_document"),
    path("api/v1/", rest.api.urls),
]

handler400 = "musterbook.api.problems.bad_request"
handler404 = "musterbook.api.problems.not_found"
handler500 = "musterbook.api.problems.failed"
handler503 = "musterbook.api.problems.paused"
