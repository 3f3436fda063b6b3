"""SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865): how identity providers create, change and deactivate the users of an agency.

It stands next to `api`, and decides nothing: each request is a plan of one row of `directory.users.provisioning`.
"""
