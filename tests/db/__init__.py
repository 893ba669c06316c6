"""The Oracle code of db/, as far as it can be proved where there is no Oracle database."""
