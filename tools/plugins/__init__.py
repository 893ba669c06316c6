"""The APEX plug-ins: import files made from readable sources, checked, and read back.

    python -m tools.plugins build            writes apex-plugins/*.sql, and tables and pictures of docs/apex.md
    python -m tools.plugins build --check    says what is not up to date
    python -m tools.plugins lint [FILE ...]  checks import files against what APEX 23.1 takes
    python -m tools.plugins decode FILE DIR  writes the files that an import file embeds

The way of a plug-in:

    manifest   plugin.toml and help.md to dataclasses
    export     dataclasses to the text of an import file (markup: Markdown to HTML; literal: values to PL/SQL)
    statement  the text of an import file back to calls with values
    model      calls to plug-in, attributes, values, events and embedded files
    lint_*     rules over both; vocabulary: what the calls of 23.1 take

What this cannot prove: that APEX imports the files. Nothing here has run on an APEX instance.
"""
