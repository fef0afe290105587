"""What a CRM developer copies. Run by tests/examples."""
