"""A CA that answers Fabric CA's REST calls, for development only; refuses to be reached from another machine."""
