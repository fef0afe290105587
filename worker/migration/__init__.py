"""Coming from Microsoft's Email Router: its configuration, read and written anew as profiles."""
