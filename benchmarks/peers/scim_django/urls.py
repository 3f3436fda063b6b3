"""The addresses of the site."""

from django.urls import include, path

from benchmarks.peers import scim_servers

urlpatterns = [path(f"{scim_servers.PATH.strip('/')}/", include("django_scim.urls"))]
