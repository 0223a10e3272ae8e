"""The client of a Fabric gateway: evaluate, submit, follow events and read blocks; holds no private key."""
