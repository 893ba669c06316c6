"""The way into an Oracle database: who logs in and how, and what `apex-rtm db` does with the scripts of db/."""
