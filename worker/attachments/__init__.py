"""Files too large for an event: where they are kept, and how they are fetched."""
