"""Checks that make the Oracle code of ``db/`` wrong-proof where no Oracle database is at hand.

Run them with ``python -m tools.plsql [scripts]``. A script goes down this road:

    lexer     characters to tokens
    script    SQL*Plus script to SQL statements, PL/SQL units and SQL*Plus commands, ``@@`` followed
    grammar   every unit through a published PL/SQL grammar, one Node process for all of them
    parse*    every unit into a syntax tree of our own (``tree``)
    world     what the scripts create; ``scope``, ``resolve``, ``calls`` and ``kinds`` say what a name there means
    check_*   one rule each over the trees, each proved able to fail in tests/db
    mutate    one token at a time is broken, and something above has to notice

``catalogue.json`` has the signatures of the supplied packages that the scripts call; ``gather`` writes it. A call to
what is not in it is a finding.

What this cannot prove is said in docs/oracle.md: nothing here compiles on Oracle. tests/oracle does.
"""
