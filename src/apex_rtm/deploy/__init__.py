"""The files of a deployment, made from templates: for nginx, for systemd, and the configuration with fresh secrets."""
