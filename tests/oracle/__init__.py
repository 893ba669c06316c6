"""The database part on a real Oracle database, for whoever has one.

    ORACLE_DSN=system/password@localhost:1521/FREEPDB1 .venv/bin/pytest tests/oracle

The user of ORACLE_DSN is a DBA: the suite creates a schema of its own, grants what db/00_grants_and_acl.sql grants,
installs, tests, uninstalls and drops the schema. Without ORACLE_DSN nothing here has run, and the report says so.
ORACLE_CALLBACK_HOST is the name by which the database reaches this machine (host.docker.internal unless told
otherwise). deploy/compose.oracle.yaml starts a database for it. APEX has to be installed, for APEX_JWT; the suites in
utplsql/ need utPLSQL and are reported as not run where it is missing.
"""
