"""analytics, port 3060: will own the data lake, statistics and the recommendation model. Nothing is built yet."""
