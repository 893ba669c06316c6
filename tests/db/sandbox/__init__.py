"""A sandbox that runs the PL/SQL of db/ from its source: not Oracle, but the same statements, in the same order.

It exists for the contract with the server: the JSON that the packages build, the token they sign, the requests they
make and what they do with the answers are taken from the source as it stands and meet the real server. Tables are
SQLite's, UTL_HTTP is Python's HTTP client, APEX is a handful of values.

What it follows of Oracle: null and the empty string are one, logic has three values, texts can be too long for their
variable (ORA-06502), records and collections are copied on assignment, ``out`` parameters are written back on success,
an autonomous transaction commits by itself. What it does not know it refuses (``NotInSandboxError``); it never
guesses. That a package compiles and runs on Oracle is shown by tests/oracle alone.
"""
