"""flow: frames that belong together."""
