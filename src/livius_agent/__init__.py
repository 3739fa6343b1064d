"""What runs beside Spark: the supervisor, the agent, the zygote and its repls."""
