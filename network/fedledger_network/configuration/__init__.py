"""A channel's configuration, on any engine: read it, edit it, compute and sign an update, have it ordered."""
