"""The import files of the APEX plug-ins, the tools that make them, and the PL/SQL that they name."""
