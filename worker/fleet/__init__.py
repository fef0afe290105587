"""What the workers know together: who is there, limits and what is used of them, who is in trouble."""
