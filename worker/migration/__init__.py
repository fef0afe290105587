"""From the configuration of Microsoft's Email Router to ours."""
