"""The URLs of an agency's SCIM service, each below /<agency>/scim/ (`settings.AGENCY_URLCONFS`)."""

from django.urls import path

from musterbook.scim import bulk, discovery, everything, groups, users

urlpatterns = [
    path("scim/v2/", everything.root, name="scim_root"),
    path("scim/v2/.search", everything.search, name="scim_search"),
    path("scim/v2/ServiceProviderConfig", discovery.config, name="scim_config"),
    path("scim/v2/ResourceTypes", discovery.resource_types, name="scim_resource_types"),
    path("scim/v2/ResourceTypes/<str:name>", discovery.resource_type, name="scim_resource_type"),
    path("scim/v2/Schemas", discovery.schemas, name="scim_schemas"),
    path("scim/v2/Schemas/<str:name>", discovery.schema, name="scim_schema"),
    path("scim/v2/Me", discovery.me, name="scim_me"),
    path("scim/v2/Bulk", bulk.bulk, name="scim_bulk"),
    path("scim/v2/Users", users.collection, name="scim_users"),
    path("scim/v2/Users/.search", users.search, name="scim_users_search"),
    path("scim/v2/Users/<str:number>", users.one, name="scim_user"),
    path("scim/v2/Groups", groups.collection, name="scim_groups"),
    path("scim/v2/Groups/.search", groups.finder, name="scim_groups_search"),
    path("scim/v2/Groups/<str:number>", groups.one, name="scim_group"),
]

handler400 = "musterbook.scim.answers.bad_request"
handler404 = "musterbook.scim.answers.not_found"
handler500 = "musterbook.scim.answers.failed"
handler503 = "musterbook.scim.answers.paused"
