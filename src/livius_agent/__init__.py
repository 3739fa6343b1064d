"""What runs beside Spark: the keeper, the agent, the zygote and its repls."""
