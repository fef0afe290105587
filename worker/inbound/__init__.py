"""Mail comes in: from a ticket for a mailbox to events the CRM can take."""
