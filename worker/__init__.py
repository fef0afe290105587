"""CRM Mail Router: delivers a CRM's mail through Exchange, exactly once, from RabbitMQ events."""

__version__ = "0.1.0"
