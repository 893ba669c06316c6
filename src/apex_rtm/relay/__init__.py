"""On commit: takes the messages of committed transactions out of the database and publishes them."""
