"""Mail goes out: from the CRM's event to exactly one mail that left Exchange. `pipeline.py` is the way in."""
